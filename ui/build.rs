//! Only watches the committed bundle, so that a changed file is embedded again.

fn main() {
    println!("cargo::rerun-if-changed=dist");
}
