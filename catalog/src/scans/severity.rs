//! How grave a finding is.
//!
//! In: a CVSS base score or a level of SARIF. Out: one of five words.

/// How grave a finding is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// CVSS 9.0 to 10.0.
    Critical,
    /// CVSS 7.0 to 8.9.
    High,
    /// CVSS 4.0 to 6.9.
    Medium,
    /// CVSS 0.1 to 3.9.
    Low,
    /// Nothing to mend.
    Informational,
}

impl Severity {
    /// All, the gravest first.
    pub const ALL: [Severity; 5] = [
        Severity::Critical,
        Severity::High,
        Severity::Medium,
        Severity::Low,
        Severity::Informational,
    ];

    /// As it is stored and as the REST API writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::High => "high",
            Severity::Medium => "medium",
            Severity::Low => "low",
            Severity::Informational => "informational",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Severity> {
        Severity::ALL
            .into_iter()
            .find(|severity| severity.name() == name)
    }

    /// Of a CVSS base score (CVSS 3.1, 5; CVSS 4.0, 6.3), as `security-severity` of SARIF has it; `None` outside 0 to 10.
    #[must_use]
    pub fn of_score(score: f64) -> Option<Severity> {
        match score {
            score if !(0.0..=10.0).contains(&score) => None,
            score if score >= 9.0 => Some(Severity::Critical),
            score if score >= 7.0 => Some(Severity::High),
            score if score >= 4.0 => Some(Severity::Medium),
            score if score > 0.0 => Some(Severity::Low),
            _ => Some(Severity::Informational),
        }
    }

    /// Of a level (SARIF 2.1.0, 3.27.10), where there is no score.
    #[must_use]
    pub fn of_level(level: &str) -> Severity {
        match level {
            "error" => Severity::High,
            "note" => Severity::Low,
            "none" => Severity::Informational,
            // What is not said is a warning.
            _ => Severity::Medium,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_bands() {
        let check = |score: f64, expected: Option<Severity>| {
            assert_eq!(Severity::of_score(score), expected, "{score}");
        };
        check(10.0, Some(Severity::Critical));
        check(9.0, Some(Severity::Critical));
        check(8.9, Some(Severity::High));
        check(7.0, Some(Severity::High));
        check(4.0, Some(Severity::Medium));
        check(3.9, Some(Severity::Low));
        check(0.0, Some(Severity::Informational));
        check(-1.0, None);
        check(10.1, None);
        check(f64::NAN, None);
    }
}
