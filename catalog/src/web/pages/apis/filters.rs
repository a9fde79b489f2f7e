//! What lists of APIs are filtered and sorted by.

use axum::response::Response;

use super::row;
use crate::Millis;
use crate::ids::{SourceId, TargetId};
use crate::inventory::{self, Api, ApiFilter, ApiSort, DriftFilter, TargetSort};
use crate::scans::Severity;
use crate::store::{Direction, Page, PageOf};
use crate::web::answer::refused;
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::views::apis::ApiRow;
use crate::web::views::filter_form::{FilterForm, Select, Switch};

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
        let found = inventory::apis(
            &person.app().store,
            &person.actor,
            &filter_of(&list, linked),
            sort,
            list.sorted.1,
            list.page()?,
        )
        .await
        .map_err(refused)?;
        Ok(ApiList {
            list,
            found,
            linked,
        })
    }

    /// Its rows.
    pub(super) fn rows(&self, now: Millis) -> Vec<ApiRow> {
        let all = self.found.items.iter().cloned();
        all.map(|api| row(api, now)).collect()
    }

    /// Its filters, with the sources and targets there are.
    pub(super) async fn filters(&self, person: &Person) -> Result<FilterForm, Response> {
        let list = &self.list;
        let mut selects = Vec::new();
        let sources = super::super::sources::names(person).await?;
        if !sources.is_empty() {
            let choices = std::iter::once((String::new(), "Any source".to_owned())).chain(sources);
            selects.push(list.select("source", "Source", choices));
        }
        if self.linked {
            selects.extend(self.of_targets(person).await?);
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
        Ok(form)
    }

    /// What only APIs with a target are filtered by.
    async fn of_targets(&self, person: &Person) -> Result<[Select; 2], Response> {
        let targets = inventory::targets(
            &person.app().store,
            &person.actor,
            None,
            TargetSort::Name,
            Direction::Ascending,
            Page::new(1, Page::MAX_SIZE).map_err(refused)?,
        )
        .await
        .map_err(refused)?;
        let targets = targets
            .items
            .into_iter()
            .map(|target| (target.id.to_string(), target.name));
        let any = std::iter::once((String::new(), "Any target".to_owned()));
        let severities = [
            ("", "Any severity"),
            ("any", "With findings"),
            ("low", "Low and up"),
            ("medium", "Medium and up"),
            ("high", "High and up"),
            ("critical", "Critical"),
        ];
        Ok([
            self.list.select("target", "Target", any.chain(targets)),
            self.list.select("severity", "Vulnerabilities", severities),
        ])
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
        source: SourceId::parse(list.get("source")).ok(),
        target: TargetId::parse(list.get("target")).ok(),
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
