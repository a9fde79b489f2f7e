//! What `wrangler.toml` and `docs/cloudflare.md` say of the Worker's variables.
//!
//! In: capture's table of settings, the Worker's own and how it reads them, both files. Out: the files have every variable, with its
//! default and what it accepts, and every example in them is accepted.
//!
//! `SILHOUETTE_UPDATE_GENERATED=1 cargo test -p silhouette-cloudflare-worker --test settings` writes both anew.

use std::path::{Path, PathBuf};

use silhouette_capture::{Setting, Settings};

#[path = "../src/edge.rs"]
#[allow(
    dead_code,
    reason = "what the Worker reads of requests is not asked here"
)]
mod edge;
#[path = "../src/settings.rs"]
#[allow(
    dead_code,
    reason = "what the Worker does with a configuration is not asked here"
)]
mod settings;

/// Secrets are no variables of `wrangler.toml`.
const SECRETS: [&str; 2] = ["token", "status_token"];

/// What `wrangler.toml` shows where there is no default, or one that is too long to read.
const EXAMPLES: [(&str, &str); 15] = [
    ("collector", "https://collector.example.com:4320"),
    ("excluded_statuses", "404, 5xx"),
    ("excluded_headers", "x-synthetic-check"),
    ("include_hosts", "api.example.com, *.api.example.com"),
    ("exclude_hosts", "static.example.com"),
    ("include_paths", "/api/*"),
    ("exclude_paths", "/internal/*, *.css"),
    ("content_types", "+application/vnd.example"),
    ("redact_headers", "+x-customer-number"),
    ("redact_query", "+customer"),
    ("redact_json", "+dateofbirth, +taxnumber"),
    ("name", "edge"),
    ("origin", "https://origin.example.com"),
    ("status_path", "/.well-known/silhouette"),
    ("status_token", ""),
];

fn all() -> impl Iterator<Item = &'static Setting> {
    // A Worker has no files.
    let shared = Settings::TABLE.iter().filter(|it| it.name != "tls_ca");
    shared.chain(settings::OWN)
}

fn variable(name: &str) -> String {
    format!("SILHOUETTE_{}", name.to_uppercase())
}

fn default_of(setting: &Setting) -> &'static str {
    let here = settings::DEFAULTS
        .iter()
        .find(|(name, _)| *name == setting.name);
    here.map_or(setting.default, |(_, default)| default)
}

/// What a setting does, in words of this shim.
fn help_of(setting: &Setting) -> String {
    // Each isolate of a Worker has a queue of its own.
    setting.help.replace("per worker", "per isolate")
}

/// A default nobody reads through in a table.
fn is_long(default: &str) -> bool {
    default.len() > 60
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What is between two lines of a file; written anew if that is what this run is for.
fn hold(name: &str, begin: &str, end: &str, wanted: &str) {
    let path = file(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(begin).unwrap();
    let (have, after) = rest.split_once(end).unwrap();
    if std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some() {
        std::fs::write(path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
    } else {
        assert_eq!(have, wanted, "{name}");
    }
}

/// Words in lines of a readable length, each with `# ` in front.
fn comment(words: &str) -> String {
    let (mut text, mut line) = (String::new(), String::from("#"));
    for word in words.split(' ') {
        if line.len() + word.len() > 120 {
            text += &format!("{line}\n");
            line = String::from("#");
        }
        line += &format!(" {word}");
    }
    text + &line + "\n"
}

/// What `wrangler.toml` shows of a variable.
fn example(setting: &Setting) -> &'static str {
    let shown = EXAMPLES.iter().find(|(name, _)| *name == setting.name);
    shown.map_or(default_of(setting), |(_, example)| example)
}

#[test]
fn wrangler_toml_has_every_variable() {
    let mut text = String::from("\n");
    for setting in all().filter(|it| !SECRETS.contains(&it.name)) {
        let default = match default_of(setting) {
            "" => "Not set by default.".to_owned(),
            long if is_long(long) => "Default: a built-in list, see docs/nginx.md.".to_owned(),
            short => format!("Default: `{short}`."),
        };
        let (help, accepts) = (help_of(setting), setting.accepts);
        text += &comment(&format!("{help} Accepts {accepts}. {default}"));
        text += &format!("#{} = \"{}\"\n", variable(setting.name), example(setting));
    }
    text += "\n";
    let begin = "cloudflare-worker/tests/settings.rs\n";
    hold("wrangler.toml", begin, "# /settings\n", &text);
}

#[test]
fn the_documentation_has_every_variable() {
    let mut text = String::from("\n| variable | default | accepts | |\n|---|---|---|---|\n");
    for setting in all() {
        let default = match default_of(setting) {
            "" => "–".to_owned(),
            long if is_long(long) => {
                "built-in list, see [nginx.md](nginx.md#directives)".to_owned()
            }
            short => format!("`{short}`"),
        };
        let accepts = setting.accepts.replace('|', "\\|");
        let name = variable(setting.name);
        text += &format!(
            "| `{name}` | {default} | {accepts} | {} |\n",
            help_of(setting)
        );
    }
    text += "\n";
    let begin = "cloudflare-worker/tests/settings.rs -->\n";
    hold(
        "../docs/cloudflare.md",
        begin,
        "<!-- /settings -->\n",
        &text,
    );
}

/// As the JavaScript hands variables over.
fn read(pairs: &[(String, &str)]) -> Result<(), String> {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        bytes.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    settings::read(&settings::Variables::parse(&bytes)).map(drop)
}

#[test]
fn examples_and_defaults_are_accepted() {
    let collector = (variable("collector"), "http://collector:4320");
    for setting in all() {
        for value in [example(setting), default_of(setting)] {
            let pairs = [collector.clone(), (variable(setting.name), value)];
            if setting.name == "collector" && value.is_empty() {
                continue;
            }
            read(&pairs).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    for (name, _) in EXAMPLES {
        assert!(all().any(|it| it.name == name), "{name}: no such setting");
    }
}

#[test]
fn what_no_setting_takes_is_refused_by_its_variable() {
    let collector = (variable("collector"), "http://collector:4320");
    for setting in all().filter(|it| it.name != "name") {
        // Too long or of the wrong form for each of them.
        let value = format!("§ {}", "x".repeat(5000));
        let pairs = [collector.clone(), (variable(setting.name), value.as_str())];
        let error = read(&pairs).expect_err(setting.name);
        let begin = format!("{}: ", variable(setting.name));
        assert!(error.starts_with(&begin), "{error}");
        assert!(error.contains("is not accepted: give "), "{error}");
    }
    let error = read(&[collector.clone(), (variable("colector"), "http://a")]).unwrap_err();
    assert!(
        error.contains(
            "there is no setting SILHOUETTE_COLECTOR: the settings are SILHOUETTE_COLLECTOR, "
        ),
        "{error}"
    );
    let error = read(&[collector, (variable("tls_ca"), "/etc/ca.pem")]).unwrap_err();
    assert!(error.contains("SILHOUETTE_COLLECTOR_BINDING"), "{error}");
    let error = read(&[]).unwrap_err();
    assert!(
        error.starts_with("SILHOUETTE_COLLECTOR: is not set"),
        "{error}"
    );
}
