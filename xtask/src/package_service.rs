//! `cargo xtask package collector` and `catalog`: a service as a Debian package, with its systemd unit and configuration.
//!
//! In: the service, built in the release profile, and the templates in its folder of `deploy/`. Out: a `.deb` under
//! `target/package/`. Needs `dpkg-deb`; installs nothing.

use std::path::PathBuf;

use anyhow::Result;

use crate::package::place;
use crate::{command, workspace};

/// One of the services.
pub(crate) struct Service {
    /// Its crate, program, package and unit: all the same name.
    pub(crate) name: &'static str,
    /// Its folder in `deploy/`, and its configuration file's name without the extension.
    pub(crate) short: &'static str,
    /// What of `docs/` comes with it.
    pub(crate) docs: &'static [&'static str],
}

pub(crate) const COLLECTOR: Service = Service {
    name: "silhouette-collector",
    short: "collector",
    docs: &["collector.md", "learn.md", "check.md", "rules.md"],
};

pub(crate) const CATALOG: Service = Service {
    name: "silhouette-catalog",
    short: "catalog",
    docs: &["catalog.md", "rest-api.md"],
};

impl Service {
    /// Builds it, and makes the package; its path.
    ///
    /// # Errors
    /// When it cannot be built, or `dpkg-deb` fails.
    pub(crate) fn package(&self) -> Result<PathBuf> {
        command::run(command::cargo().args(["build", "--release", "-p", self.name]))?;
        let (name, short) = (self.name, self.short);
        let root = workspace::root();
        let deploy = root.join("deploy").join(short);
        let out = root.join("target/package");
        let tree = out.join(name);
        if tree.exists() {
            std::fs::remove_dir_all(&tree)?;
        }
        let program = tree.join("usr/bin").join(name);
        place(&workspace::built("release").join(name), &program, 0o755)?;
        command::output(
            command::program("strip")
                .arg("--strip-unneeded")
                .arg(&program),
        )?;
        let unit = format!("{name}.service");
        let settings = format!("{short}.toml");
        for (from, to, mode) in [
            (
                deploy.join(&unit),
                format!("lib/systemd/system/{unit}"),
                0o644,
            ),
            (
                deploy.join(&settings),
                format!("etc/silhouette/{settings}"),
                0o644,
            ),
            (
                root.join("LICENSE"),
                format!("usr/share/doc/{name}/copyright"),
                0o644,
            ),
            (
                deploy.join("debian/conffiles"),
                "DEBIAN/conffiles".to_owned(),
                0o644,
            ),
            (
                deploy.join("debian/postinst"),
                "DEBIAN/postinst".to_owned(),
                0o755,
            ),
            (
                deploy.join("debian/prerm"),
                "DEBIAN/prerm".to_owned(),
                0o755,
            ),
        ] {
            place(&from, &tree.join(to), mode)?;
        }
        for page in self.docs {
            let to = tree.join("usr/share/doc").join(name).join(page);
            place(&root.join("docs").join(page), &to, 0o644)?;
        }
        let completions = tree.join("usr/share/bash-completion/completions");
        std::fs::create_dir_all(&completions)?;
        std::fs::write(
            completions.join(name),
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
        let package = out.join(format!("{name}_{version}_{architecture}.deb"));
        let mut build = command::program("dpkg-deb");
        command::output(
            build
                .args(["--root-owner-group", "-Zxz", "--build"])
                .arg(&tree)
                .arg(&package),
        )?;
        Ok(package)
    }
}
