use super::*;

fn host(name: &str) -> HostName {
    HostName::parse(name.as_bytes(), "https").unwrap()
}

fn filter(patterns: &[&str]) -> Result<HostFilter, LearnError> {
    HostFilter::new(
        &patterns
            .iter()
            .map(|pattern| (*pattern).to_owned())
            .collect::<Vec<_>>(),
    )
}

#[test]
fn hosts_are_chosen_by_name_wildcard_and_port() {
    for (pattern, name, wanted) in [
        ("api.example.com", "api.example.com", true),
        ("API.Example.com", "api.example.com", true),
        ("api.example.com", "api.example.com:8443", true),
        ("api.example.com:8443", "api.example.com:8443", true),
        ("api.example.com:8443", "api.example.com", false),
        ("*.example.com", "api.example.com:8443", true),
        ("*.example.com", "example.com", false),
        ("*", "[::1]:8080", true),
        ("[::1]", "[::1]:8080", true),
        ("[::1]", "[::1]", true),
        ("api.*", "www.example.com", false),
    ] {
        assert_eq!(
            filter(&[pattern]).unwrap().wants(&host(name)),
            wanted,
            "{pattern} {name}"
        );
    }
    assert!(filter(&[]).unwrap().wants(&host("anything.test")));
    assert!(
        filter(&["a.test", "b.test"])
            .unwrap()
            .wants(&host("b.test"))
    );
}

#[test]
fn a_pattern_that_can_match_no_host_is_refused() {
    for pattern in [
        "https://api.example.com",
        "a.test/v1",
        "",
        "a.test,b.test",
        "user@a.test",
    ] {
        let message = filter(&[pattern]).unwrap_err().to_string();
        assert!(
            message.contains(&format!("{pattern:?}")) && message.contains("*.example.com"),
            "{message}"
        );
    }
}
