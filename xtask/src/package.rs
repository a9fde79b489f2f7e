//! `cargo xtask package nginx`: the module as a Debian package; `package kong`: the filter for Kong, Envoy and Istio; `package
//! cloudflare`: the Worker; `package f5`: the iRule, as `package_f5` makes it, judged.
//!
//! In: the module, which it builds in the release profile, the templates in `deploy/nginx/debian/`, and what `nginx-dev` says about the
//! ABI of the nginx it was built against. Out: a `.deb` under `target/package/` that depends on exactly that ABI. Needs
//! `dpkg-deb`; installs nothing. Of the filter: a folder there with the module, what Kong reads beside it, and checksums. Of the
//! Worker: a folder there from which wrangler deploys, after wrangler was asked what it would upload.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{command, filter, installers, package_service, worker, workspace};

/// What to package.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which part
    what: What,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// libnginx-mod-http-silhouette, for this machine's nginx
    Nginx,
    /// silhouette-collector, with its systemd unit
    Collector,
    /// silhouette-catalog, with its systemd unit
    Catalog,
    /// The filter for Kong, Envoy and Istio, with what Kong reads beside it
    Kong,
    /// The Worker for Cloudflare, from which wrangler deploys
    Cloudflare,
    /// The iRule for F5 BIG-IP, with all that it is installed with
    F5,
}

/// `cargo xtask package WHAT`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let package = match args.what {
        What::Nginx => {
            command::run(command::cargo().args(["build", "--release", "-p", "silhouette-nginx"]))?;
            nginx("release")?
        }
        What::Collector => package_service::COLLECTOR.package()?,
        What::Catalog => package_service::CATALOG.package()?,
        What::Kong => kong(&filter::build()?)?,
        What::Cloudflare => cloudflare(&worker::build()?)?,
        What::F5 => installers::package()?,
    };
    println!("{}", package.display());
    Ok(ExitCode::SUCCESS)
}

/// What Kong reads beside the filter: the schema of its configuration, and which parts of its metrics' names are labels.
const META: &str = "silhouette.meta.json";

/// Makes the folder of the filter; its path. The files keep their names: Kong calls a filter what its file is called.
///
/// # Errors
/// When the filter is too heavy, or `sha256sum` fails.
pub(crate) fn kong(built: &filter::Built) -> Result<PathBuf> {
    built.weigh()?;
    let out = workspace::root().join("target/package/kong");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    let module = "silhouette.wasm";
    place(&built.silhouette, &out.join(module), 0o644)?;
    let meta = workspace::root().join("kong-wasm").join(META);
    place(&meta, &out.join(META), 0o644)?;
    checksums(&out, &[module, META])?;
    Ok(out)
}

/// Makes the folder of the Worker, and sees that wrangler takes it; its path.
///
/// # Errors
/// When the Worker is too heavy, wrangler does not take it, would upload something else, or `sha256sum` fails.
pub(crate) fn cloudflare(built: &worker::Built) -> Result<PathBuf> {
    built.weigh()?;
    let name = format!("silhouette-cloudflare-{}", env!("CARGO_PKG_VERSION"));
    let out = workspace::root().join("target/package").join(&name);
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    for file in &built.files {
        place(&built.folder.join(file), &out.join(file), 0o644)?;
    }
    let upload = out.with_file_name(format!("{name}.upload"));
    let said = command::output(
        worker::wrangler()
            .current_dir(&out)
            .args(["deploy", "--dry-run", "--outdir"])
            .arg(&upload),
    )?;
    for file in worker::uploaded(&built.files) {
        let read = |folder: &Path| {
            let path = folder.join(file);
            std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
        };
        if read(&upload)? != read(&out)? {
            bail!("wrangler would upload another {file} than the one in {name}");
        }
    }
    std::fs::remove_dir_all(&upload)?;
    // `Total Upload: 74.31 KiB / gzip: 29.70 KiB`
    if let Some(total) = said.lines().find(|line| line.starts_with("Total Upload")) {
        println!("wrangler: {total}");
    }
    let files: Vec<&str> = built.files.iter().map(String::as_str).collect();
    checksums(&out, &files)?;
    Ok(out)
}

/// Writes `SHA256SUMS` of files into the folder they are in.
pub(crate) fn checksums(folder: &Path, files: &[&str]) -> Result<()> {
    let mut sums = command::program("sha256sum");
    let sums = command::output(sums.current_dir(folder).args(files))?;
    std::fs::write(folder.join("SHA256SUMS"), sums)
        .with_context(|| format!("writing the checksums in {}", folder.display()))
}

/// Where `nginx-dev` says which ABI its headers have.
const ABI: &str = "/usr/share/nginx/src/debian/libnginx-mod.abisubstvars";
const MODULE: &str = "libngx_http_silhouette_module.so";

/// Makes the package from the module in `target/<profile>/`; its path.
///
/// # Errors
/// When the module is not built, `nginx-dev` is missing, or `dpkg-deb` fails.
pub(crate) fn nginx(profile: &str) -> Result<PathBuf> {
    let module = workspace::built(profile).join(MODULE);
    if !module.exists() {
        bail!(
            "{} is not there: `cargo build --release -p silhouette-nginx` first",
            module.display()
        );
    }
    let templates = workspace::root().join("deploy/nginx/debian");
    let out = workspace::root().join("target/package");
    let tree = out.join("libnginx-mod-http-silhouette");
    if tree.exists() {
        std::fs::remove_dir_all(&tree)?;
    }
    let installed = tree.join("usr/lib/nginx/modules/ngx_http_silhouette_module.so");
    place(&module, &installed, 0o644)?;
    // Debug information belongs beside a package, not into it.
    command::output(
        command::program("strip")
            .arg("--strip-unneeded")
            .arg(&installed),
    )?;
    let enabled = "usr/share/nginx/modules-available/mod-http-silhouette.conf";
    place(
        &templates.join("mod-http-silhouette.conf"),
        &tree.join(enabled),
        0o644,
    )?;
    let documentation = tree.join("usr/share/doc/libnginx-mod-http-silhouette");
    for (from, to) in [
        ("LICENSE", "copyright"),
        ("docs/nginx.md", "nginx.md"),
        ("deploy/nginx/minimal.conf", "examples/minimal.conf"),
        ("deploy/nginx/silhouette.conf", "examples/silhouette.conf"),
    ] {
        place(
            &workspace::root().join(from),
            &documentation.join(to),
            0o644,
        )?;
    }
    for script in ["postinst", "prerm"] {
        place(
            &templates.join(script),
            &tree.join("DEBIAN").join(script),
            0o755,
        )?;
    }
    let architecture = command::output(command::program("dpkg").arg("--print-architecture"))?;
    let size = std::fs::metadata(&installed)?.len().div_ceil(1024);
    let control = std::fs::read_to_string(templates.join("control"))?
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@ARCHITECTURE@", architecture.trim())
        .replace("@NGINX_ABI@", &abi()?)
        .replace("@INSTALLED_SIZE@", &size.to_string());
    std::fs::write(tree.join("DEBIAN/control"), control)?;
    let package = out.join(format!(
        "libnginx-mod-http-silhouette_{}_{}.deb",
        env!("CARGO_PKG_VERSION"),
        architecture.trim()
    ));
    command::output(
        command::program("dpkg-deb")
            .args(["--root-owner-group", "-Zxz", "--build"])
            .arg(&tree)
            .arg(&package),
    )?;
    Ok(package)
}

/// `nginx-abi-1.22.1-7`: the package Debian's nginx provides for modules that were built against it.
fn abi() -> Result<String> {
    let text = std::fs::read_to_string(ABI)
        .with_context(|| format!("{ABI} is missing: `apt-get install nginx-dev`"))?;
    abi_in(&text).with_context(|| format!("{ABI} has no line `nginx:abi=nginx-abi-…`"))
}

fn abi_in(text: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("nginx:abi="))?;
    Some(value.trim().to_owned()).filter(|abi| abi.starts_with("nginx-abi-"))
}

/// Copies a file into a package's tree.
pub(crate) fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = to.parent().context("a file in a directory")?;
    std::fs::create_dir_all(directory)?;
    std::fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_abi_is_read_from_debians_file() {
        let text = "# update the ABI version when:\nnginx:abi=nginx-abi-1.22.1-7\n\nlibnginx-mod-nchan:Version=1\n";
        assert_eq!(abi_in(text).as_deref(), Some("nginx-abi-1.22.1-7"));
        assert_eq!(abi_in("nginx:abi=\n"), None);
    }
}
