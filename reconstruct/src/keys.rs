//! What the name of an object's member looks like: a name somebody gave, or data (an id, a date, an address as a key).
//!
//! In: the name. Out: whether it is data. A pure function of the text, so that every model of a host decides alike. It knows no
//! words: how likely one letter follows another in names tells random text from names of any length and joint.

use crate::class::Class;

/// Bits by which a pair of neighbours is more likely in a name than in random letters and digits; `N` is none, `O` one more,
/// `M` one less. Rows and columns: the 26 letters, a digit, the joint between two words (`_`, `-`, a hump of camelCase).
/// Counted over the 139,000 distinct names of members in 2,600 published OpenAPI descriptions, each weighed by the square root
/// of the number of providers that use it.
const PAIRS: [[u8; 28]; 28] = [
    *b"IOPOGLOGOHJPOPGNGPOQNMLMNJFL",
    *b"PKKLQIJLPNHQLMPKFNNLPHHFOEFN",
    *b"PHNIQHFPNFOOJIQKHOMPOIJENEGM",
    *b"PLJNQJLIPJILLKNLFNNKNKJGKEGP",
    *b"NKOPMMMJKHINNPKMLPPOJMLNLHGO",
    *b"PHJJPOGHREJNHHPJJOMNNGGJLEFM",
    *b"OKKIQHNNOEHMLOOKIPOLOGJELFEO",
    *b"QKJLQIIHPEFLMKQKINLONGIEMHIO",
    *b"NMPPONOFGEIOOQQNINOPINEKEMEK",
    *b"NJJKRHHGNGIGHGRKJHOJPHMGGHEK",
    *b"NKJLRMMIPEGMLMLKGJOLOIJGKEFP",
    *b"PKKNQKJEQEJOKJPJFHNOOJIENEGO",
    *b"QOIJRJIHPEFLNMOPGINKMHIIJFFN",
    *b"PJOOONPINGMLKMNKHJOQNMGEKFEO",
    *b"MMNOHNMGMKMOOQMNEPNOPNNKLGEM",
    *b"PHLMQIJMOEIPKKPOFPNONKHGJEGN",
    *b"JJHLHIFHJFHNJKKKFLLOSIHFFHGL",
    *b"PJNNQKMGPEMMNNPKFNOOMMIGNEGN",
    *b"NINJPKHNPEMLLKONJJOQOILFLEHP",
    *b"PILJQJHNQEELKJOLEONNNGLHOFFO",
    *b"NNNNOKLFNEGOPQKPEQPPJGEIJGEJ",
    *b"QJKJRHKIQEGJLJOMFJKIJHEEGEJK",
    *b"QJJKQIFNPFJMIPQLENOKIHIIHGEO",
    *b"MIPIPIHGOEIILKKQFJJQIIFJMGIP",
    *b"LKLINGIEKEEMOMLQFLONGFKGHJHP",
    *b"QHHHRJGGOGIHKIQIIHKIOGJHKLHM",
    *b"NNNNNNNNNNNNNNNNNNNNNNNNNNNN",
    *b"ONOONNMMOKLNNNNOKOPONMMIJIIO",
];
const NONE: i32 = b'N' as i32;
const DIGIT: usize = 26;
const JOINT: usize = 27;

/// Fewer characters show too little.
const SHORTEST: usize = 8;
/// Names below are random, by whether they have digits: acronyms and clipped words look odder than they are. One name in 800 falls
/// below; of random texts of ten characters 9 in 10 do, of twenty all but 2 in 1,000.
const RANDOM: [i32; 2] = [-16, -8];

/// Whether a member of this name is data rather than named. `$ref`, `@type`, `first name` and `größe` are names.
pub(crate) fn is_data(key: &str) -> bool {
    match Class::of(key) {
        Some(Class::Semver | Class::List) => false,
        Some(Class::Text) => {
            key.is_empty()
                || key.len() > 64
                || key.contains(char::is_control)
                || key.matches(' ').count() > 3
        }
        None | Some(Class::Token | Class::Hex) => key.len() >= SHORTEST && is_random(key),
        Some(_) => true,
    }
}

/// Whether a machine drew the letters and digits of `text`.
fn is_random(text: &str) -> bool {
    let least = RANDOM[usize::from(text.bytes().any(|b| b.is_ascii_digit()))];
    text.is_ascii() && bits(text) < least
}

/// How many bits the text is likelier as a name than as random text.
pub(crate) fn bits(text: &str) -> i32 {
    let bytes = text.as_bytes();
    let (mut sum, mut before, mut last) = (0, JOINT, b' ');
    let mut step = |next: usize| {
        let pair = PAIRS.get(before).and_then(|row| row.get(next));
        sum += pair.map_or(0, |b| i32::from(*b) - NONE);
        before = next;
    };
    for (i, b) in bytes.iter().enumerate() {
        let hump = match b {
            b'A'..=b'Z' => {
                last.is_ascii_lowercase()
                    || last.is_ascii_digit()
                    || last.is_ascii_uppercase()
                        && bytes.get(i + 1).is_some_and(u8::is_ascii_lowercase)
            }
            b'a'..=b'z' => last.is_ascii_digit(),
            b'0'..=b'9' => false,
            _ => i > 0 && last.is_ascii_alphanumeric(),
        };
        if hump {
            step(JOINT);
        }
        match b {
            b'0'..=b'9' => step(DIGIT),
            b if b.is_ascii_alphabetic() => step(usize::from(b.to_ascii_lowercase() - b'a')),
            _ => {}
        }
        last = *b;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(keys: &[&str], expected: bool) {
        for key in keys {
            assert_eq!(is_data(key), expected, "{key:?}, {} bits", bits(key));
        }
    }

    #[test]
    fn names_stay_names_however_long() {
        check(
            &[
                "id",
                "$ref",
                "@type",
                "first name",
                "größe",
                "x",
                "last24Hours",
                "AddressLine1",
                "EndTimeLocal",
                "FullTimeNumberOfUnitsPerPeriod",
                "biallelicCountsByTumorType",
                "customField_10010",
                "useStorageV2",
                "iso3166Alpha3Code",
                "ScheduleOnDaysOff",
                "urn:ietf:params:scim:schemas:core:2.0:User",
                "oauth2Token",
                "SHA256",
                "a,b",
                "adm1NameAlternatesLocalized",
                "yahoo_map_url",
                "hgvspShort",
                "formattedMMMMddyyyy",
                "X-RateLimit-Remaining",
                "1.2.3",
            ],
            false,
        );
    }

    #[test]
    fn ids_as_keys_are_data() {
        check(
            &[
                "",
                "42",
                "-7",
                "007",
                "5f2b9a647c1d4e8b9a550c8e",
                "2024-02-29",
                "ada@example.com",
                "c0ffee00-0000-4000-8000-000000000000",
                "cus_9s6XKzkNRiz8i3",
                "10.0.0.1",
                "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                "dQw4w9WgXcQ",
                "a long sentence that somebody typed",
            ],
            true,
        );
    }

    #[test]
    fn random_text_is_data() {
        let drawn = (0..1000u32).filter(|n| {
            let text: String = (0..22u32)
                .map(|i| {
                    let h = crate::bounded::hash(&format!("{n} {i}"));
                    char::from(
                        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                            [(h % 62) as usize],
                    )
                })
                .collect();
            is_data(&text)
        });
        assert!(drawn.count() >= 990);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            is_data(&text);
        }
    }
}
