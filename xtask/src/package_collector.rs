//! `cargo xtask package collector`: the collector as a Debian package, with its systemd unit and configuration.
//!
//! In: the collector, built in the release profile, and the templates in `deploy/collector/`. Out: a `.deb` under
//! `target/package/`. Needs `dpkg-deb`; installs nothing.

use std::path::PathBuf;

use anyhow::Result;

use crate::package::place;
use crate::{command, workspace};

/// Makes the package from the collector in `target/<profile>/`; its path.
///
/// # Errors
/// When the collector is not built, or `dpkg-deb` fails.
pub(crate) fn collector(profile: &str) -> Result<PathBuf> {
    let root = workspace::root();
    let deploy = root.join("deploy/collector");
    let out = root.join("target/package");
    let tree = out.join("silhouette-collector");
    if tree.exists() {
        std::fs::remove_dir_all(&tree)?;
    }
    let program = tree.join("usr/bin/silhouette-collector");
    place(
        &workspace::built(profile).join("silhouette-collector"),
        &program,
        0o755,
    )?;
    command::output(
        command::program("strip")
            .arg("--strip-unneeded")
            .arg(&program),
    )?;
    for (from, to, mode) in [
        (
            deploy.join("silhouette-collector.service"),
            "lib/systemd/system/silhouette-collector.service",
            0o644,
        ),
        (
            deploy.join("collector.toml"),
            "etc/silhouette/collector.toml",
            0o644,
        ),
        (
            root.join("LICENSE"),
            "usr/share/doc/silhouette-collector/copyright",
            0o644,
        ),
        (
            root.join("docs/collector.md"),
            "usr/share/doc/silhouette-collector/collector.md",
            0o644,
        ),
        (
            root.join("docs/learn.md"),
            "usr/share/doc/silhouette-collector/learn.md",
            0o644,
        ),
        (deploy.join("debian/conffiles"), "DEBIAN/conffiles", 0o644),
        (deploy.join("debian/postinst"), "DEBIAN/postinst", 0o755),
        (deploy.join("debian/prerm"), "DEBIAN/prerm", 0o755),
    ] {
        place(&from, &tree.join(to), mode)?;
    }
    let completions = tree.join("usr/share/bash-completion/completions/silhouette-collector");
    if let Some(dir) = completions.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(
        &completions,
        command::output(command::program(&program).args(["completions", "bash"]))?,
    )?;
    let architecture = command::output(command::program("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let version = env!("CARGO_PKG_VERSION");
    let size = std::fs::metadata(&program)?.len().div_ceil(1024);
    let control = std::fs::read_to_string(deploy.join("debian/control"))?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@INSTALLED_SIZE@", &size.to_string());
    std::fs::write(tree.join("DEBIAN/control"), control)?;
    let package = out.join(format!("silhouette-collector_{version}_{architecture}.deb"));
    let mut build = command::program("dpkg-deb");
    command::output(
        build
            .args(["--root-owner-group", "-Zxz", "--build"])
            .arg(&tree)
            .arg(&package),
    )?;
    Ok(package)
}
