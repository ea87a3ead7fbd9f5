//! What the shop promises its users, as OpenSLO documents that lie beside this file.
//!
//! Each promise is 99.9 % over four weeks. In health the shop spends well below a quarter of that budget; a fault spends it
//! so fast that one hour's burn rate passes 14.4 within about three minutes (see the tests).

use std::{io, path::Path};

/// Operations that have objectives: service and operation of the catalogue.
pub(super) const JOURNEYS: [(&str, &str); 8] = [
    ("web-gateway", "/"),
    ("web-gateway", "/products/{id}"),
    ("web-gateway", "/search"),
    ("web-gateway", "/cart/items"),
    ("checkout", "PlaceOrder"),
    ("mobile-gateway", "/m/home"),
    ("mobile-gateway", "/m/products/{id}"),
    ("partner-gateway", "/partner/v1/stock"),
];

macro_rules! documents {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("objectives/", $name)))),*] };
}

/// File name and text of each document.
pub(super) const DOCUMENTS: [(&str, &str); 16] = documents![
    "cart-availability.yaml",
    "cart-latency.yaml",
    "checkout-availability.yaml",
    "checkout-latency.yaml",
    "home-availability.yaml",
    "home-latency.yaml",
    "mobile-home-availability.yaml",
    "mobile-home-latency.yaml",
    "mobile-product-availability.yaml",
    "mobile-product-latency.yaml",
    "partner-stock-availability.yaml",
    "partner-stock-latency.yaml",
    "product-page-availability.yaml",
    "product-page-latency.yaml",
    "search-availability.yaml",
    "search-latency.yaml",
];

/// Writes the shop's objectives into a directory that does not exist yet; one that does belongs to the operator.
///
/// # Errors
/// The directory or a file cannot be written; the directory does not exist then.
pub(crate) fn write_objectives(directory: &Path) -> io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    // Another name until it is complete: the directory is whole or not there.
    let unfinished = directory.with_extension("unfinished");
    std::fs::create_dir_all(&unfinished)?;
    for (name, text) in DOCUMENTS {
        std::fs::write(unfinished.join(name), text)?;
    }
    std::fs::rename(unfinished, directory)
}
