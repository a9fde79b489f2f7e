//! What lists of APIs are filtered and sorted by.

use axum::response::Response;

use super::lookup::{self, Asked};
use super::row;
use crate::Millis;
use crate::access::Permission;
use crate::inventory::{self, Api, ApiFilter, ApiSort, DriftFilter};
use crate::scans::Severity;
use crate::store::PageOf;
use crate::web::answer::refused;
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::views::apis::ApiRow;
use crate::web::views::filter_form::{FilterForm, Lookup, Switch};

const FILTERS: &[&str] = &[
    "q", "source", "target", "seen", "drift", "severity", "host", "hidden",
];

const SORTS: &[(&str, ApiSort)] = &[
    ("name", ApiSort::Name),
    ("operations", ApiSort::Operations),
    ("updated", ApiSort::Updated),
    ("discovered", ApiSort::FirstDiscovered),
    ("target", ApiSort::Target),
    ("vulnerabilities", ApiSort::Vulnerabilities),
    ("scanned", ApiSort::LastScanned),
    ("drift", ApiSort::Drift),
];

/// Discovery or the catalog, as it was asked for.
pub(super) struct ApiList {
    pub(super) list: List,
    pub(super) found: PageOf<Api>,
    linked: bool,
    lookups: Vec<Lookup>,
}

impl ApiList {
    /// Looks up the APIs with a target (`linked`) or without one that fit the filters in `raw`.
    pub(super) async fn read(
        person: &Person,
        here: &'static str,
        raw: Option<&str>,
        linked: bool,
        orders: &[&'static str],
    ) -> Result<ApiList, Response> {
        let list = List::read(here, raw, FILTERS, orders);
        let sort = SORTS
            .iter()
            .find(|(name, _)| *name == list.sorted.0)
            .map_or(ApiSort::Updated, |(_, sort)| *sort);
        let mut lookups = Vec::new();
        let mut filter = filter_of(&list, linked);
        let mut unknown = false;
        if person.may(Permission::ViewSources) {
            let (source, lookup) = lookup::source(person, &list).await?;
            unknown |= source == Asked::Unknown;
            filter.source = source.one();
            lookups.push(lookup);
        }
        if linked {
            let (target, lookup) = lookup::target(person, &list).await?;
            unknown |= target == Asked::Unknown;
            filter.target = target.one();
            lookups.push(lookup);
        }
        let page = list.page()?;
        let found = if unknown {
            PageOf {
                items: Vec::new(),
                total: 0,
                page,
            }
        } else {
            let store = &person.app().store;
            inventory::apis(store, &person.actor, &filter, sort, list.sorted.1, page)
                .await
                .map_err(refused)?
        };
        Ok(ApiList {
            list,
            found,
            linked,
            lookups,
        })
    }

    /// Its rows.
    pub(super) fn rows(&self, now: Millis) -> Vec<ApiRow> {
        let all = self.found.items.iter().cloned();
        all.map(|api| row(api, now)).collect()
    }

    /// Its filters.
    pub(super) fn filters(&self) -> FilterForm {
        let list = &self.list;
        let mut selects = Vec::new();
        if self.linked {
            let severities = [
                ("", "Any severity"),
                ("any", "With findings"),
                ("low", "Low and up"),
                ("medium", "Medium and up"),
                ("high", "High and up"),
                ("critical", "Critical"),
            ];
            selects.push(list.select("severity", "Vulnerabilities", severities));
        }
        selects.push(list.select(
            "seen",
            "Known from",
            [
                ("", "Seen or documented"),
                ("seen", "Seen in traffic"),
                ("documented", "Documented"),
                ("both", "Both"),
            ],
        ));
        selects.push(list.select(
            "drift",
            "Drift",
            [
                ("", "Any drift or none"),
                ("any", "With drift"),
                ("none", "Without drift"),
                ("shadow", "Shadow"),
                ("zombie", "Zombie"),
                ("orphan", "Orphan"),
                ("contradiction", "Contradiction"),
            ],
        ));
        let mut form = list.filters("Search name or URL", selects);
        form.kept
            .extend(list.some("host").map(|host| ("host", host)));
        form.switches.push(Switch {
            name: "hidden",
            value: "yes",
            label: "Show hidden APIs",
            chosen: list.get("hidden") == "yes",
        });
        form.lookups.clone_from(&self.lookups);
        form
    }
}

fn filter_of(list: &List, linked: bool) -> ApiFilter {
    let drift = match list.get("drift") {
        "any" => Some(DriftFilter::Any),
        "none" => Some(DriftFilter::None),
        "shadow" => Some(DriftFilter::Shadow),
        "zombie" => Some(DriftFilter::Zombie),
        "orphan" => Some(DriftFilter::Orphan),
        "contradiction" => Some(DriftFilter::Contradiction),
        _ => None,
    };
    let (observed, documented) = match list.get("seen") {
        "seen" => (Some(true), None),
        "documented" => (None, Some(true)),
        "both" => (Some(true), Some(true)),
        _ => (None, None),
    };
    ApiFilter {
        text: list.some("q"),
        linked: Some(linked),
        hidden: (list.get("hidden") != "yes").then_some(false),
        observed,
        documented,
        drift,
        severity: match list.get("severity") {
            "any" => Some(Severity::Informational),
            name => Severity::parse(name),
        },
        host: list.some("host"),
        ..ApiFilter::default()
    }
}
