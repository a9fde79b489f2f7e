//! What scanners report, matched to APIs and operations, on both databases.

mod documents;
mod people;
mod stores;

use bytes::Bytes;
use documents::{Collector, document};
use people::{at, door, organisation};
use silhouette_catalog::access::Actor;
use silhouette_catalog::ids::{ApiId, FindingId, ScanId};
use silhouette_catalog::inventory::{self, *};
use silhouette_catalog::scans::{self, *};
use silhouette_catalog::store::{Direction, Page, Store};
use silhouette_catalog::{Millis, Refusal};
use stores::on_each;

const ZAP: &str = include_str!("sarif/zap.sarif");
const NUCLEI: &str = include_str!("sarif/nuclei.sarif");
const PROXY: &str = include_str!("sarif/proxy.sarif");
const SOURCE: &str = include_str!("sarif/source.sarif");

async fn shop(store: &Store) -> (Actor, ApiId) {
    let acme = organisation(store, &door(), "Acme", "owner@acme.example").await;
    let collector = Collector::of(store, &acme, "edge").await;
    let operations = [
        "GET /books",
        "POST /books",
        "GET /books/{isbn}",
        "GET /books/new",
        "DELETE /books/{isbn}",
        "GET /metrics",
    ];
    let books = document("https://shop.example/v1", &operations);
    let api = collector
        .push_new(store, "shop.example", 1, &books, at(1))
        .await;
    (acme, api)
}

async fn import(store: &Store, actor: &Actor, report: &str, now: Millis) -> ImportedScan {
    let report = Bytes::from(report.to_owned());
    import_scan(store, actor, report, None, now)
        .await
        .unwrap()
        .remove(0)
}

async fn shown(store: &Store, actor: &Actor, filter: FindingFilter) -> Vec<String> {
    let page = findings(
        store,
        actor,
        &filter,
        FindingSort::Severity,
        Direction::Ascending,
        Page::default(),
    );
    let show = |f: Finding| {
        format!(
            "{} {} {} {}{}",
            f.severity.name(),
            f.rule,
            f.method,
            f.path,
            if f.api.is_some() { "" } else { "?" }
        )
    };
    let mut all: Vec<String> = page.await.unwrap().items.into_iter().map(show).collect();
    // Equals come in the order of their ids.
    for equals in all.chunk_by_mut(|a, b| a.split(' ').next() == b.split(' ').next()) {
        equals.sort();
    }
    all
}

#[tokio::test]
async fn results_are_matched_and_counted() {
    on_each(async |store: Store| {
        let (acme, api) = shop(&store).await;
        let zap = import(&store, &acme, ZAP, at(10)).await;
        assert_eq!(
            (
                zap.scan.tool.as_str(),
                zap.scan.results,
                zap.scan.matched,
                zap.new
            ),
            ("ZAP", 3, 2, 3)
        );
        assert_eq!(zap.apis, std::slice::from_ref(&api));
        let nuclei = import(&store, &acme, NUCLEI, at(11)).await;
        assert_eq!((nuclei.scan.scanned_at, nuclei.scan.matched), (at(11), 1));
        let proxy = import(&store, &acme, PROXY, at(12)).await;
        assert_eq!((proxy.scan.matched, proxy.left_out), (1, 2));
        // A path alone says nothing, unless the report is said to be about an API.
        let source = import(&store, &acme, SOURCE, at(13)).await;
        assert_eq!((source.scan.matched, source.new), (0, 1));
        let about = import_scan(&store, &acme, SOURCE.into(), Some(&api), at(14))
            .await
            .unwrap();
        assert_eq!((about[0].scan.matched, about[0].new), (1, 1));

        let open = FindingFilter {
            open: Some(true),
            ..FindingFilter::default()
        };
        assert_eq!(
            shown(&store, &acme, open.clone()).await,
            [
                "critical 40018 GET /v1/books/{isbn}",
                "high access-control DELETE /v1/books/{isbn}",
                "medium exposed-metrics GET /v1/metrics",
                "low 10021  ?",
                "low 10021 POST /v1/books",
                "low routes/no-limit  ?",
                "low routes/no-limit GET /v1/books",
            ]
        );
        let found = inventory::api(&store, &acme, &api).await.unwrap();
        assert_eq!(
            found.findings,
            SeverityCounts {
                critical: 1,
                high: 1,
                medium: 1,
                low: 2,
                informational: 0
            }
        );
        assert_eq!(found.scanned_at, Some(at(14)));
        let grave = OperationFilter {
            severity: Some(Severity::High),
            ..OperationFilter::default()
        };
        let list = operations(
            &store,
            &acme,
            &api,
            &grave,
            OperationSort::Vulnerabilities,
            Direction::Descending,
            Page::default(),
        );
        let list: Vec<String> = list
            .await
            .unwrap()
            .items
            .into_iter()
            .map(|o| format!("{} {} {}", o.method, o.path, o.findings.total()))
            .collect();
        assert_eq!(
            list,
            ["GET /v1/books/{isbn} 1", "DELETE /v1/books/{isbn} 1"]
        );
        let grave = ApiFilter {
            severity: Some(Severity::Critical),
            ..ApiFilter::default()
        };
        assert_eq!(
            apis(
                &store,
                &acme,
                &grave,
                ApiSort::Vulnerabilities,
                Direction::Descending,
                Page::default()
            )
            .await
            .unwrap()
            .total,
            1
        );
        assert_eq!(overview(&store, &acme).await.unwrap().findings.total(), 5);

        let unmatched = FindingFilter {
            matched: Some(false),
            ..FindingFilter::default()
        };
        assert_eq!(shown(&store, &acme, unmatched.clone()).await.len(), 2);
        for (tool, text, expected) in [
            (Some("ZAP"), None, 1),
            (None, Some("za"), 1),
            (None, Some("no such"), 0),
        ] {
            let filter = ScanFilter {
                tool: tool.map(str::to_owned),
                text: text.map(str::to_owned),
            };
            let found = scans::scans(&store, &acme, &filter, Page::default());
            assert_eq!(found.await.unwrap().total, expected, "{filter:?}");
        }
        // Deleted APIs leave their findings, matched to nothing.
        delete_api(&store, &acme, &api, at(15)).await.unwrap();
        assert_eq!(shown(&store, &acme, unmatched).await.len(), 7);

        let other = organisation(&store, &door(), "Other", "owner@other.example").await;
        assert!(shown(&store, &other, open).await.is_empty());
        assert!(matches!(
            scans::scan(&store, &other, &zap.scan.id).await,
            Err(Refusal::NotFound { .. })
        ));
        assert!(matches!(
            import_scan(&store, &other, ZAP.into(), Some(&api), at(16)).await,
            Err(Refusal::NotFound { .. })
        ));
        let none = FindingId::make(at(1));
        assert!(matches!(
            finding(&store, &acme, &none).await,
            Err(Refusal::NotFound { .. })
        ));
        assert!(matches!(
            scans::scan(&store, &acme, &ScanId::make(at(1))).await,
            Err(Refusal::NotFound { .. })
        ));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_longer_reported_is_closed() {
    on_each(async |store: Store| {
        let (acme, api) = shop(&store).await;
        import(&store, &acme, ZAP, at(10)).await;
        let again = import(&store, &acme, ZAP, at(11)).await;
        assert_eq!((again.new, again.closed, again.reopened), (0, 0, 0));
        // Later, one is left.
        let later = ZAP
            .replace("2027-01-15T07:00:00Z", "2027-01-15T07:30:00Z")
            .replace("\"ruleId\": \"40018\",", "\"kind\": \"pass\",");
        let scan = import(&store, &acme, &later, at(12)).await;
        assert_eq!((scan.closed, scan.left_out), (1, 1));
        let count = async || inventory::api(&store, &acme, &api).await.unwrap().findings;
        assert_eq!((count().await.critical, count().await.low), (0, 1));
        // The older report once more: what a newer one closed stays closed.
        import(&store, &acme, ZAP, at(13)).await;
        assert_eq!(count().await.critical, 0);
        // Another tool closes nothing of this one's, and it comes back when it is found again.
        import(&store, &acme, NUCLEI, at(14)).await;
        assert_eq!(count().await.low, 1);
        let back = ZAP.replace("2027-01-15T07:00:00Z", "2027-01-15T07:45:00Z");
        assert_eq!(import(&store, &acme, &back, at(15)).await.reopened, 1);
        assert_eq!(count().await.critical, 1);
        // A report about this API without results closes all of that tool.
        let empty =
            r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"ZAP"}},"results":[]}]}"#;
        import_scan(&store, &acme, empty.into(), Some(&api), at(16))
            .await
            .unwrap();
        assert_eq!(
            count().await,
            SeverityCounts {
                medium: 1,
                ..SeverityCounts::default()
            }
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_no_report_is_refused() {
    on_each(async |store: Store| {
        let (acme, _) = shop(&store).await;
        let check = async |report: String, expected: &str| {
            let error = import_scan(&store, &acme, report.into(), None, at(2)).await.unwrap_err();
            assert!(matches!(error, Refusal::Invalid { field: "report", .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check("<xml/>".into(), "not JSON: expected value at line 1 column 1").await;
        check("{}".into(), "no SARIF report").await;
        check(r#"{"version":"2.0.0","runs":[]}"#.into(), "SARIF 2.0.0, which is not read").await;
        check(r#"{"version":"2.1.0","runs":[]}"#.into(), "no runs").await;
        check(r#"{"version":"2.1.0","runs":7}"#.into(), "no `runs`").await;
        check("[".repeat(100_000), "not JSON").await;
        let many = format!(r#"{{"version":"2.1.0","runs":[{{"results":[{}0]}}]}}"#, "0,".repeat(50_000));
        check(many, "at most 50000").await;
        // All sorts of things in the wrong places.
        let odd = r#"{"version":"2.1.0","runs":[7,{"tool":[],"results":[null,7,{"message":"x","locations":{"a":1},"ruleIndex":-1},
            {"ruleId":"<script>\u0000'; DROP TABLE findings; --","webRequest":{"target":"https://shop.example:99999999/"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"http://[::1"}}}]}]}]}"#;
        let scan = import_scan(&store, &acme, odd.into(), None, at(3)).await.unwrap().remove(0);
        assert_eq!((scan.scan.results, scan.left_out, scan.scan.matched), (2, 2, 0));
    })
    .await;
}

/// Reports are matched before anything is written: what becomes of APIs meanwhile is not overlooked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apis_may_come_and_go_while_a_report_is_imported() {
    on_each(async |store: Store| {
        let acme = organisation(&store, &door(), "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let books = document(
            "https://shop.example/v1",
            &["GET /books", "GET /books/{isbn}", "DELETE /books/{isbn}"],
        );
        let changing = async {
            for round in 0..12 {
                let api = collector
                    .push_new(&store, "shop.example", round + 1, &books, at(1))
                    .await;
                tokio::task::yield_now().await;
                delete_api(&store, &acme, &api, at(2)).await.unwrap();
            }
        };
        let importing = async {
            for round in 0..12 {
                let imported = import(&store, &acme, ZAP, at(10 + round)).await;
                assert_eq!(imported.scan.results, 3);
                assert!([0, 2].contains(&imported.scan.matched), "{imported:?}");
            }
        };
        tokio::join!(changing, importing);
        // With the API there in the end, what is open is counted with it.
        let api = collector
            .push_new(&store, "shop.example", 100, &books, at(3))
            .await;
        let last = import(&store, &acme, ZAP, at(100)).await;
        assert_eq!(
            (last.scan.matched, last.apis.as_slice()),
            (2, std::slice::from_ref(&api))
        );
        let shown = inventory::api(&store, &acme, &api).await.unwrap();
        assert_eq!(shown.scanned_at, Some(last.scan.scanned_at));
    })
    .await;
}
