//! Codes of published lists: currencies, countries, languages, telephone numbers.
//!
//! In: a text. Out: whether it is one of the codes. The lists are facts: ISO 4217 (currencies in use), ISO 3166-1 (alpha-2),
//! ISO 639-1, ITU-T E.164.

use crate::format::{self, Formats};
use std::cmp::Ordering;

const CURRENCIES: &str = "AEDAFNALLAMDANGAOAARSAUDAWGAZNBAMBBDBDTBGNBHDBIFBMDBNDBOBBRLBSDBTNBWPBYNBZDCADCDFCHFCLPCNYCOPCRCCUPCVECZK\
    DJFDKKDOPDZDEGPERNETBEURFJDFKPGBPGELGHSGIPGMDGNFGTQGYDHKDHNLHTGHUFIDRILSINRIQDIRRISKJMDJODJPYKESKGSKHRKMFKPWKRWKWDKYDKZT\
    LAKLBPLKRLRDLSLLYDMADMDLMGAMKDMMKMNTMOPMRUMURMVRMWKMXNMYRMZNNADNGNNIONOKNPRNZDOMRPABPENPGKPHPPKRPLNPYGQARRONRSDRUBRWF\
    SARSBDSCRSDGSEKSGDSHPSLESOSSRDSSPSTNSVCSYPSZLTHBTJSTMTTNDTOPTRYTTDTWDTZSUAHUGXUSDUYUUZSVEDVESVNDVUVWSTXAFXAGXAUXCDXDRXOFXPDXPFXPT\
    YERZARZMWZWL";
const COUNTRIES: &str = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZ\
    DEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJP\
    KEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOM\
    PAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZ\
    UAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW";
const LANGUAGES: &str = "aaabaeafakamanarasavayazbabebgbhbibmbnbobrbscacechcocrcscucvcydadedvdzeeeleneoeseteufafffifjfofrfygagdglgngugvhahehihohrhthuhyhziaidieigiiikioisit\
    iujajvkakgkikjkkklkmknkokrkskukvkwkylalblglilnloltlulvmgmhmimkmlmnmrmsmtmynanbndnengnlnnnonrnvnyocojomorospapiplpsptqurmrnrorurwsascsdsesgsiskslsmsnsosqsrssstsusvsw\
    tatetgthtitktltntotrtstttwtyugukuruzvevivowawoxhyiyozazhzu";

/// The name of the list all texts with these formats are on.
pub(crate) fn name(formats: Formats) -> Option<&'static str> {
    [
        (format::CURRENCY, "currency"),
        (format::COUNTRY, "country"),
        (format::LANGUAGE, "language"),
        (format::PHONE, "phone"),
    ]
    .iter()
    .find(|(bit, _)| formats & bit != 0)
    .map(|(_, name)| *name)
}

/// Parts of names of members that say what the codes are.
pub(crate) fn said_by(list: &str) -> &'static [&'static str] {
    match list {
        "currency" => &["currency", "currencies", "ccy"],
        "country" => &["country", "countries", "nation", "market"],
        "language" => &["lang", "locale"],
        _ => &["phone", "mobile", "tel", "fax", "msisdn", "cell"],
    }
}

/// The codes of a list stand in order.
fn on(list: &str, width: usize, text: &str) -> bool {
    let code = |at: usize| list.as_bytes().get(at * width..(at + 1) * width);
    let (mut low, mut high) = (0, list.len() / width);
    while text.len() == width && low < high {
        let middle = (low + high) / 2;
        match code(middle).cmp(&Some(text.as_bytes())) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return true,
            Ordering::Greater => high = middle,
        }
    }
    false
}

/// ISO 4217.
pub(crate) fn is_currency(text: &str) -> bool {
    on(CURRENCIES, 3, text)
}

/// ISO 3166-1, alpha-2.
pub(crate) fn is_country(text: &str) -> bool {
    on(COUNTRIES, 2, text)
}

/// ISO 639-1, perhaps with a script and a country (BCP 47: `pt-BR`, `zh-Hans-CN`; `pt_BR` is as frequent).
pub(crate) fn is_language(text: &str) -> bool {
    let mut parts = text.split(['-', '_']);
    text.len() <= 12
        && parts.next().is_some_and(|l| on(LANGUAGES, 2, l))
        && parts.all(|p| {
            is_country(p)
                || p.len() == 4 && p.bytes().all(|b| b.is_ascii_alphabetic())
                || p.len() == 3 && p.bytes().all(|b| b.is_ascii_digit())
        })
}

/// A language as the front of a path has it: `de`, `pt-BR`, `en-us`.
pub(crate) fn is_locale(text: &str) -> bool {
    match text.split_once(['-', '_']) {
        None => is_language(text),
        Some((language, region)) => {
            is_language(language) && (is_language(text) || is_country(&region.to_ascii_uppercase()))
        }
    }
}

/// E.164 with its plus sign, with or without the usual separators.
pub(crate) fn is_phone(text: &str) -> bool {
    text.len() <= 24
        && text.strip_prefix('+').is_some_and(|rest| {
            let digits = rest.bytes().filter(u8::is_ascii_digit).count();
            (8..=15).contains(&digits)
                && rest
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b" -().".contains(&b))
                && rest.starts_with(|c: char| ('1'..='9').contains(&c))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_whole() {
        for (list, width, least) in [
            (CURRENCIES, 3, 150),
            (COUNTRIES, 2, 245),
            (LANGUAGES, 2, 180),
        ] {
            assert_eq!(list.len() % width, 0);
            let codes: Vec<&[u8]> = list.as_bytes().chunks_exact(width).collect();
            assert!(codes.len() >= least, "{}", codes.len());
            assert!(
                codes.windows(2).all(|w| w[0] < w[1]),
                "sorted, each once: {:?}",
                codes
                    .windows(2)
                    .find(|w| w[0] >= w[1])
                    .map(|w| w.concat())
                    .and_then(|w| String::from_utf8(w).ok())
            );
        }
    }

    #[test]
    fn codes_are_told_from_words() {
        let check = |text: &str, expected: [bool; 4]| {
            let got = [
                is_currency(text),
                is_country(text),
                is_language(text),
                is_phone(text),
            ];
            assert_eq!(got, expected, "{text}");
        };
        check("EUR", [true, false, false, false]);
        check("eur", [false; 4]);
        check("DE", [false, true, false, false]);
        check("de", [false, false, true, false]);
        check("zh-Hans-CN", [false, false, true, false]);
        check("pt_BR", [false, false, true, false]);
        check("de-xx", [false; 4]);
        check("+49 (89) 123-4567", [false, false, false, true]);
        check("+1", [false; 4]);
        check("4989123456", [false; 4]);
    }
}
