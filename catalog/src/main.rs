//! The `silhouette-catalog` program.

fn main() {}
