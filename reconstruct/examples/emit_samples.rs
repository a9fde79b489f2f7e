//! Writes documents of many kinds of traffic into a directory, for linters that are not written in Rust.
//!
//! `cargo run -p silhouette-reconstruct --example emit_samples -- DIRECTORY`

#[path = "../tests/common/mod.rs"]
mod common;

use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model, OpenApi};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args()
        .nth(1)
        .ok_or("name the directory to write to")?;
    std::fs::create_dir_all(&directory)?;
    let host = HostName::parse(b"books.example.com", "https")?;
    for seed in 0..12 {
        for (kind, exchanges) in [
            ("bookshop", common::bookshop(400, seed)),
            ("wild", common::wild(30 + 40 * seed as usize, seed)),
            ("hostile", common::hostile(500, seed)),
            ("storefront", common::storefront::storefront(300, seed)),
            ("forum", common::forum::forum(300, seed)),
            ("procedures", common::procedures::procedures(300, seed)),
            (
                "tagged",
                common::tagged::tagged(200, seed, common::tagged::Oddity::None),
            ),
            ("archive", common::elements::archive(300, seed)),
            ("elements", common::elements::wild(60, seed)),
            ("articles", common::resources::articles(300, seed)),
            ("media", common::media::media(280, seed)),
        ] {
            let mut model = Model::new(Limits::default());
            exchanges.iter().for_each(|e| {
                e.observe(&mut model);
            });
            for (name, openapi) in [("3.0", OpenApi::V30), ("3.1", OpenApi::V31)] {
                let document = model.document(
                    &host,
                    &DocumentOptions {
                        openapi,
                        ..DocumentOptions::default()
                    },
                );
                let file = |extension: &str| {
                    Path::new(&directory).join(format!("{kind}-{seed}-{name}.{extension}"))
                };
                std::fs::write(file("json"), document.to_json())?;
                std::fs::write(file("yaml"), document.to_yaml())?;
            }
        }
    }
    Ok(())
}
