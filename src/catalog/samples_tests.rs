//! The sample catalog that ships: real enough to find what a template cannot show.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::settings::Market;
use super::snapshot::{read_catalog, read_product};
use super::tests::{instant, settings};
use super::wire::Change;
use super::*;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("label-templates/samples")
}

fn sample_catalog() -> Catalog {
    let snapshot = read_catalog(&std::fs::read(samples().join("catalog.ndjson")).unwrap()).unwrap();
    assert_eq!(snapshot.errors, []);
    assert_eq!(snapshot.unknown_fields, BTreeSet::new());
    let mut catalog = Catalog::new(settings("CNY", Market::China));
    for row in snapshot.rows {
        let applied = catalog.apply(Moment::ZERO, row);
        assert_eq!(applied.status, Status::Applied, "{} stands twice, or cannot be shown", applied.key);
    }
    catalog
}

/// GS1 General Specifications 7.9: from the left, odd places count once and even ones three times.
fn is_ean_13(barcode: &str) -> bool {
    let sum: u32 =
        barcode.chars().zip([1, 3].into_iter().cycle()).filter_map(|(it, n)| Some(it.to_digit(10)? * n)).sum();
    barcode.len() == 13 && barcode.bytes().all(|byte| byte.is_ascii_digit()) && sum.is_multiple_of(10)
}

#[test]
fn the_sample_catalog_is_large_and_various() {
    let catalog = sample_catalog();
    let names: BTreeSet<&str> = catalog.products().filter_map(|product| product.name.as_deref()).collect();
    assert!(catalog.products().count() >= 200);
    assert!(names.len() >= 150, "{} names", names.len());
    assert!(names.iter().any(|name| name.chars().count() == 1));
    assert!(names.iter().any(|name| name.chars().count() > 24));
    assert!(names.iter().any(|name| name.contains(['é', 'ü', 'ß'])));
}

#[test]
fn every_sample_barcode_is_a_distinct_ean_13() {
    let catalog = sample_catalog();
    let barcodes: Vec<&str> = catalog.products().filter_map(|product| product.barcode.as_deref()).collect();
    for barcode in &barcodes {
        assert!(is_ean_13(barcode), "{barcode}");
    }
    assert_eq!(barcodes.iter().collect::<BTreeSet<_>>().len(), barcodes.len());
    assert!(barcodes.len() >= 200);
}

#[test]
fn sample_promotions_begin_and_end() {
    let catalog = sample_catalog();
    let reduced = |at: &str| {
        let at = instant(at);
        catalog.products().filter(|product| catalog.shelf_price(&product.sku, at).price < product.price).count()
    };
    assert_eq!(reduced("2026-10-31T23:59:59+08:00"), 0);
    assert!(reduced("2026-11-25T12:00:00+08:00") >= 30);
    assert_eq!(reduced("2026-12-26T00:00:00+08:00"), 0);
    let price = |at: &str| catalog.view(&"1101".parse().unwrap(), instant(at)).price.unwrap();
    assert_eq!(price("2026-11-25T17:59:59+08:00"), "49.90");
    assert_eq!(price("2026-11-25T18:00:00+08:00"), "45.00");
    assert_eq!(price("2026-11-28T00:00:00+08:00"), "59.90");
}

#[test]
fn every_sample_product_file_is_a_line_of_the_sample_catalog() {
    let catalog = sample_catalog();
    for name in ["pistachios", "salt", "egg-cakes", "honey", "gift-box", "clementines"] {
        let file = read_product(&std::fs::read(samples().join(name).with_extension("json")).unwrap()).unwrap();
        assert_eq!(file.unknown_fields, BTreeSet::new(), "{name}");
        for row in file.rows {
            match row.change {
                Change::Base(product) => assert_eq!(catalog.product(&file.sku), Some(&product), "{name}"),
                Change::Promotion(promotion) => {
                    assert_eq!(catalog.promotion(&promotion.id), Some(&promotion), "{name}")
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
