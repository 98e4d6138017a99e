//! The feed's payloads: what is read, what is refused and in which words.

use proptest::prelude::*;
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::*;
use crate::catalog::product::ContentUnit;
use crate::catalog::tests::{amount, base, deletion, instant, product, promotion, sku, special_price};

/// Checks the sentence of the only error.
#[track_caller]
fn check(facet: Facet, payload: &str, sentence: &str) {
    let errors = parse(facet, payload.as_bytes()).errors;
    let sentences: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(sentences, [sentence]);
}

#[track_caller]
fn check_rows(facet: Facet, payload: &str, rows: &[Row]) {
    let parsed = parse(facet, payload.as_bytes());
    assert_eq!(parsed.errors, []);
    assert_eq!(parsed.rows, rows);
}

#[test]
fn the_contracts_base_event_is_read_whole() {
    let payload = r#"{"sku":"1101","revision":7,"seq":812,"name":"加州开心果","brand":"严选","spec":"500g/袋",
        "origin":"美国","grade":"一级","unit":"袋","barcode":"6901234567892","category":"nuts","price":"59.90",
        "content":{"amount":"500","unit":"g"},"attributes":{"roast":"原味"},"promotions":[]}"#;
    let text = |text: &str| Some(text.into());
    let pistachios = Product {
        name: text("加州开心果"),
        brand: text("严选"),
        spec: text("500g/袋"),
        origin: text("美国"),
        grade: text("一级"),
        unit: text("袋"),
        barcode: text("6901234567892"),
        category: text("nuts"),
        content: Some(Content { amount: amount("500"), unit: ContentUnit::Gram }),
        attributes: Some(Box::new([("roast".into(), "原味".into())].into())),
        ..product("1101", "59.90")
    };
    let row = Row { key: RowKey::Sku(Facet::Base, sku("1101")), revision: 7, change: Change::Base(pistachios) };
    check_rows(Facet::Base, payload, &[row]);
    assert_eq!(parse(Facet::Base, payload.as_bytes()).seqs, [812]);
    assert!(parse(Facet::Base, payload.as_bytes()).unknown_fields.is_empty());
}

#[test]
fn the_contracts_promotion_is_read_whole() {
    let payload = r#"{"promotion_id":"P-88","revision":3,"skus":["1101"],"kind":"special_price","price":"49.90",
        "start":"2026-11-25T00:00:00+08:00","end":"2026-11-28T00:00:00+08:00","text":"双十一","audience":"all",
        "channel":"store","priority":10}"#;
    let sale = Promotion { channel: Channel::Store, priority: 10, ..special_price("P-88", 3, &["1101"], "49.90") };
    check_rows(Facet::Promotion, payload, &[promotion(sale)]);
}

#[test]
fn absent_fields_and_null_are_the_same() {
    let change = Change::Base(Product::bare(sku("1101")));
    let bare = [Row { key: RowKey::Sku(Facet::Base, sku("1101")), revision: 7, change }];
    check_rows(Facet::Base, r#"{"sku":"1101","revision":7}"#, &bare);
    check_rows(Facet::Base, r#"{"sku":"1101","revision":7,"name":null,"price":null,"promotions":null}"#, &bare);
}

#[test]
fn a_promotion_has_defaults() {
    let payload = r#"[{"promotion_id":"P","revision":1,"skus":[],"kind":"special_price","price":"1",
        "start":"2026-11-24T16:00:00Z","end":"2026-11-27T16:00:00.000Z"}]"#;
    let sale = Promotion { text: None, ..special_price("P", 1, &[], "1") };
    assert_eq!((sale.audience, sale.channel, sale.priority), (Audience::All, Channel::Both, 0));
    check_rows(Facet::Promotion, payload, &[promotion(sale)]);
}

#[test]
fn a_deletion_needs_only_key_and_revision() {
    let deleted = [deletion(RowKey::Sku(Facet::Base, sku("1101")), 8)];
    check_rows(Facet::Base, r#"{"sku":"1101","revision":8,"deleted":true}"#, &deleted);
    let deleted = [deletion(RowKey::Promotion("P-88".parse().unwrap()), 4)];
    check_rows(Facet::Promotion, r#"{"promotion_id":"P-88","revision":4,"deleted":true}"#, &deleted);
}

#[test]
fn promotions_in_a_base_row_are_rows_of_their_own() {
    let sale = |revision: u64| to_json(&promotion(special_price("P-88", revision, &["1101"], "49.90")));
    let mut row = json!({"sku": "1101", "revision": 7, "price": "59.90", "promotions": [sale(3)]});
    let rows = [base("1101", 7, "59.90"), promotion(special_price("P-88", 3, &["1101"], "49.90"))];
    check_rows(Facet::Base, &row.to_string(), &rows);

    row["price"] = json!(59.9);
    let parsed = parse(Facet::Base, row.to_string().as_bytes());
    assert_eq!(parsed.rows, rows[1..], "a bad product does not block its promotion");
    row["price"] = json!("59.90");
    row["promotions"][0]["price"] = json!("cheap");
    let parsed = parse(Facet::Base, row.to_string().as_bytes());
    assert_eq!(parsed.rows, rows[..1], "nor the other way round");
    assert_eq!(
        parsed.errors[0].to_string(),
        "base row 1, promotion `P-88`: `price` is the text \"cheap\"; expected an amount as a decimal string such as \"59.90\""
    );
}

#[test]
fn unknown_fields_are_ignored_and_named() {
    let payload = r#"[{"sku":"1101","revision":7,"colour":"red","content":{"amount":"1","unit":"l","net":true},
        "promotions":[{"promotion_id":"P","revision":1,"deleted":true,"reason":"x"}]}]"#;
    let parsed = parse(Facet::Base, payload.as_bytes());
    assert_eq!(parsed.errors, []);
    assert_eq!(parsed.rows.len(), 2);
    assert_eq!(parsed.unknown_fields.iter().collect::<Vec<_>>(), ["colour", "content.net", "promotions.reason"]);
}

#[test]
fn a_message_that_is_no_message_is_one_error() {
    const JSON: &str = "expected one object or an array of at most 1000 objects";
    check(Facet::Base, "", &format!("base message: not JSON (EOF while parsing a value at line 1 column 0); {JSON}"));
    check(
        Facet::Base,
        r#"[{"sku":"1101""#,
        &format!("base message: not JSON (EOF while parsing an object at line 1 column 14); {JSON}"),
    );
    check(Facet::Base, "7", &format!("base message: found the number 7; {JSON}"));
    let many = format!("[{}]", vec!["{}"; ROWS_MAX + 1].join(","));
    check(Facet::Base, &many, "base message: found 1001 rows; expected at most 1000");
}

#[test]
fn the_contracts_other_facets_are_read_whole() {
    let row = |facet, revision, change| [Row { key: RowKey::Sku(facet, sku("1101")), revision, change }];
    let stock = Stock { quantity: 34, reorder_level: Some(12), sold_per_day: Some(amount("5.5")) };
    check_rows(
        Facet::Stock,
        r#"{"sku":"1101","revision":90,"quantity":34,"reorder_level":12,"sold_per_day":"5.5"}"#,
        &row(Facet::Stock, 90, Change::Stock(stock)),
    );
    let returns = Returns { y_code: "Y20391".into(), grade: Some("B".into()) };
    check_rows(
        Facet::Returns,
        r#"{"sku":"1101","revision":2,"y_code":"Y20391","grade":"B"}"#,
        &row(Facet::Returns, 2, Change::Returns(returns)),
    );
    let rating = Rating { score: Some(amount("4.8")), count: Some(2210), class: Some("A".into()) };
    check_rows(
        Facet::Rating,
        r#"{"sku":"1101","revision":4,"score":"4.8","count":2210,"class":"A"}"#,
        &row(Facet::Rating, 4, Change::Rating(rating)),
    );
    for facet in [Facet::Stock, Facet::Returns, Facet::Rating] {
        let payload = r#"{"sku":"1101","revision":9,"deleted":true}"#;
        check_rows(facet, payload, &[deletion(RowKey::Sku(facet, sku("1101")), 9)]);
    }
    let member = |name, membership| Row {
        key: RowKey::Sku(Facet::Assortment, sku(name)),
        revision: 12,
        change: Change::Assortment(membership),
    };
    let rows = [member("1101", Membership::In), member("0900", Membership::Out)];
    check_rows(Facet::Assortment, r#"{"revision":12,"add":["1101"],"remove":["0900"]}"#, &rows);
    check_rows(Facet::Assortment, r#"{"revision":12}"#, &[]);
}

#[test]
fn numbers_are_kept_of_bad_rows_as_well() {
    let parsed = parse(Facet::Stock, br#"[{"sku":"1","revision":1,"quantity":1,"seq":5},{"seq":6},{"sku":"2"}]"#);
    assert_eq!((parsed.seqs, parsed.rows.len(), parsed.errors.len()), (vec![5, 6], 1, 2));
}

#[test]
fn a_bad_row_of_a_smaller_source_is_told_in_one_sentence() {
    const INTEGER: &str = "expected an integer between -9007199254740991 and 9007199254740991";
    const AMOUNT: &str = "expected an amount as a decimal string such as \"59.90\"";
    const TEXT: &str = "expected a text of at most 512 characters without control characters";
    const SKU: &str = "expected a sku of 1 to 64 printable ASCII characters without spaces";
    const SKUS: &str =
        "expected an array of at most 50000 skus, each 1 to 64 printable ASCII characters without spaces";
    const NUMBER: &str = "expected an integer from 0 to 9007199254740991";
    let check_field = |facet: Facet, fields: &str, sentence: String| {
        let payload = format!(r#"{{"sku":"1101","revision":7{fields}}}"#);
        check(facet, &payload, &format!("{facet} row 1, sku `1101`: {sentence}"));
    };
    check_field(Facet::Stock, "", format!("`quantity` is missing; {INTEGER}"));
    check_field(Facet::Stock, r#","quantity":"34""#, format!("`quantity` is the text \"34\"; {INTEGER}"));
    check_field(Facet::Stock, r#","quantity":3.5"#, format!("`quantity` is the number 3.5; {INTEGER}"));
    check_field(
        Facet::Stock,
        r#","quantity":1,"reorder_level":true"#,
        format!("`reorder_level` is the boolean true; {INTEGER}"),
    );
    check_field(
        Facet::Stock,
        r#","quantity":1,"sold_per_day":5.5"#,
        format!("`sold_per_day` is the number 5.5; {AMOUNT}"),
    );
    check_field(Facet::Returns, "", "`y_code` is missing; expected a Y-code".to_owned());
    check_field(Facet::Returns, r#","y_code":"""#, "`y_code` is the text \"\"; expected a Y-code".to_owned());
    check_field(Facet::Returns, r#","y_code":7"#, format!("`y_code` is the number 7; {TEXT}"));
    check_field(Facet::Returns, r#","y_code":"Y1","grade":2"#, format!("`grade` is the number 2; {TEXT}"));
    check_field(Facet::Rating, r#","score":4.8"#, format!("`score` is the number 4.8; {AMOUNT}"));
    check_field(Facet::Rating, r#","count":"many""#, format!("`count` is the text \"many\"; {INTEGER}"));
    check_field(Facet::Rating, r#","class":["A"]"#, format!("`class` is an array of 1 items; {TEXT}"));
    check_field(Facet::Rating, r#","seq":-1"#, format!("`seq` is the number -1; {NUMBER}"));
    for facet in [Facet::Stock, Facet::Returns, Facet::Rating] {
        check(facet, r#"{"revision":7}"#, &format!("{facet} row 1: `sku` is missing; {SKU}"));
        check(facet, r#"{"sku":"1101"}"#, &format!("{facet} row 1, sku `1101`: `revision` is missing; {NUMBER}"));
        check(facet, r#"["1101"]"#, &format!("{facet} row 1: found the text \"1101\"; expected an object"));
        check_field(facet, r#","deleted":"yes""#, "`deleted` is the text \"yes\"; expected true or false".to_owned());
    }
    let check_assortment =
        |payload: &str, sentence: &str| check(Facet::Assortment, payload, &format!("assortment row 1: {sentence}"));
    check_assortment(r#"{"add":["1"]}"#, &format!("`revision` is missing; {NUMBER}"));
    check_assortment(r#"{"revision":1,"add":"1"}"#, &format!("`add` is the text \"1\"; {SKUS}"));
    check_assortment(r#"{"revision":1,"remove":["1",2]}"#, &format!("`remove` is an array with the number 2; {SKUS}"));
    check_assortment(
        r#"{"revision":1,"add":["1","2"],"remove":["2"]}"#,
        "sku `2` is in `add` and in `remove`; expected it in one of them",
    );
}

#[test]
fn a_bad_base_row_is_told_in_one_sentence() {
    const AMOUNT: &str = "expected an amount as a decimal string such as \"59.90\"";
    const REVISION: &str = "expected an integer from 0 to 9007199254740991";
    let row = |fields: &str| format!(r#"{{"sku":"1101","revision":7,{fields}}}"#);
    let check = |payload: &str, sentence: &str| check(Facet::Base, payload, &format!("base row 1{sentence}"));

    check("[7]", ": found the number 7; expected an object");
    check(
        r#"{"revision":7}"#,
        ": `sku` is missing; expected a sku of 1 to 64 printable ASCII characters without spaces",
    );
    check(
        r#"{"sku":"开心果","revision":7}"#,
        ": `sku` is the text \"开心果\"; expected a sku of 1 to 64 printable ASCII characters without spaces",
    );
    check(r#"{"sku":"1101"}"#, &format!(", sku `1101`: `revision` is missing; {REVISION}"));
    check(
        r#"{"sku":"1101","revision":9007199254740992}"#,
        &format!(", sku `1101`: `revision` is the number 9007199254740992; {REVISION}"),
    );
    check(r#"{"sku":"1101","revision":-1}"#, &format!(", sku `1101`: `revision` is the number -1; {REVISION}"));
    check(r#"{"sku":"1101","revision":"7"}"#, &format!(", sku `1101`: `revision` is the text \"7\"; {REVISION}"));
    check(&row(r#""price":59.9"#), &format!(", sku `1101`: `price` is the number 59.9; {AMOUNT}"));
    for bad in ["", "-1", "1e3", "1,5", " 1", "1.", ".5", "+1", "1234567890123", "0.1234567", "1_000", "NaN"] {
        let found = format!(", sku `1101`: `price` is the text \"{bad}\"; {AMOUNT}");
        check(&row(&format!(r#""price":"{bad}""#)), &found);
    }
    check(
        &row(r#""name":"a\u0007b""#),
        ", sku `1101`: `name` is the text \"a\u{fffd}b\"; expected a text of at most 512 characters without control characters",
    );
    check(
        &row(&format!(r#""name":"{}""#, "长".repeat(513))),
        &format!(
            ", sku `1101`: `name` is the text \"{}…\"; expected a text of at most 512 characters without control characters",
            "长".repeat(48)
        ),
    );
    check(
        &row(r#""content":{"amount":"0","unit":"g"}"#),
        ", sku `1101`: `content.amount` is the text \"0\"; expected an amount above zero",
    );
    check(
        &row(r#""content":{"amount":"1","unit":"oz"}"#),
        ", sku `1101`: `content.unit` is the text \"oz\"; expected one of g, kg, ml, l, cm, m, cm², m², piece",
    );
    check(
        &row(r#""content":"500g""#),
        ", sku `1101`: `content` is the text \"500g\"; expected an object such as {\"amount\":\"500\",\"unit\":\"g\"}",
    );
    check(
        &row(r#""attributes":{"organic":true}"#),
        ", sku `1101`: `attributes` is an object; expected an object of at most 64 texts without control characters",
    );
    check(&row(r#""deleted":1"#), ", sku `1101`: `deleted` is the number 1; expected true or false");
    check(
        &row(r#""promotions":{}"#),
        ", sku `1101`: `promotions` is an object; expected an array of at most 1000 promotions",
    );
}

#[test]
fn every_field_of_a_base_row_is_told_in_one_sentence() {
    const TEXT: &str = "expected a text of at most 512 characters without control characters";
    let check_field = |field: &str, sentence: &str| {
        let payload = format!(r#"{{"sku":"1101","revision":7,{field}}}"#);
        check(Facet::Base, &payload, &format!("base row 1, sku `1101`: {sentence}"));
    };
    for name in ["name", "brand", "spec", "origin", "grade", "unit", "barcode", "category"] {
        check_field(&format!(r#""{name}":7"#), &format!("`{name}` is the number 7; {TEXT}"));
    }
    check_field(r#""seq":"7""#, "`seq` is the text \"7\"; expected an integer from 0 to 9007199254740991");
    check_field(
        r#""content":{"amount":"1"}"#,
        "`content.unit` is missing; expected one of g, kg, ml, l, cm, m, cm², m², piece",
    );
    check_field(
        r#""content":{"unit":"g"}"#,
        "`content.amount` is missing; expected an amount as a decimal string such as \"59.90\"",
    );
    check_field(
        r#""attributes":["a"]"#,
        "`attributes` is an array of 1 items; expected an object of at most 64 texts without control characters",
    );
    check_promotion("text", json!(7), &format!("`text` is the number 7; {TEXT}"));
    check_promotion("deleted", json!(1), "`deleted` is the number 1; expected true or false");
    check_promotion("seq", json!(-1), "`seq` is the number -1; expected an integer from 0 to 9007199254740991");
    check_promotion(
        "revision",
        json!("3"),
        "`revision` is the text \"3\"; expected an integer from 0 to 9007199254740991",
    );
    check(
        Facet::Promotion,
        r#"{"promotion_id":"a b","revision":1}"#,
        "promotion row 1: `promotion_id` is the text \"a b\"; expected a promotion id of 1 to 64 printable ASCII characters \
         without spaces",
    );
}

/// Checks the sentence about the contract's promotion with one field replaced.
#[track_caller]
fn check_promotion(field: &str, value: Value, sentence: &str) {
    let mut row = to_json(&promotion(special_price("P-88", 3, &["1101"], "49.90")));
    row[field] = value;
    check(Facet::Promotion, &row.to_string(), &format!("promotion row 1, promotion `P-88`: {sentence}"));
}

/// The same with a promotion of another kind, which is valid but for that field.
#[track_caller]
fn check_kind(kind: &str, field: &str, value: Value, sentence: &str) {
    let mut row = json!({"promotion_id": "P-88", "revision": 3, "skus": ["1101"], "kind": kind,
        "start": "2026-11-25T00:00:00+08:00", "end": "2026-11-28T00:00:00+08:00"});
    if kind == "percent_off" {
        row["percent"] = json!("20");
    }
    if kind == "member_price" {
        row["price"] = json!("20");
    }
    check_rows(Facet::Promotion, &row.to_string(), &parse(Facet::Promotion, row.to_string().as_bytes()).rows);
    row[field] = value;
    check(Facet::Promotion, &row.to_string(), &format!("promotion row 1, promotion `P-88`: {sentence}"));
}

#[test]
fn every_kind_of_promotion_is_read() {
    for (kind, reduction, audience) in [
        ("special_price", r#""price":"9.90""#, Audience::All),
        ("limited_time", r#""price":"9.90""#, Audience::All),
        ("store_exclusive", r#""price":"9.90""#, Audience::All),
        ("member_price", r#""price":"9.90""#, Audience::Member),
        ("percent_off", r#""percent":"12.5""#, Audience::All),
        ("text_only", r#""text":"新品""#, Audience::All),
    ] {
        let payload = format!(
            r#"{{"promotion_id":"P","revision":1,"skus":["1101"],"kind":"{kind}",{reduction},
            "start":"2026-11-25T00:00:00+08:00","end":"2026-11-28T00:00:00+08:00"}}"#
        );
        let parsed = parse(Facet::Promotion, payload.as_bytes());
        assert_eq!(parsed.errors, []);
        let Change::Promotion(promotion) = &parsed.rows[0].change else { panic!("{parsed:?}") };
        assert_eq!((promotion.kind.as_str(), promotion.audience), (kind, audience));
        let expected = match kind {
            "percent_off" => Reduction::Percent(amount("12.5")),
            "text_only" => Reduction::Text,
            _ => Reduction::Price(amount("9.90")),
        };
        assert_eq!(promotion.reduction, expected);
    }
}

#[test]
fn a_field_that_a_kind_of_promotion_does_not_have_is_told_in_one_sentence() {
    check_promotion(
        "percent",
        json!("20"),
        "`percent` is the text \"20\"; expected nothing for this kind of promotion",
    );
    const PERCENT: &str = "expected the share taken off as a decimal string above 0 and below 100, such as \"20\"";
    check_kind(
        "percent_off",
        "price",
        json!("5"),
        "`price` is the text \"5\"; expected nothing for this kind of promotion",
    );
    check_kind("percent_off", "percent", Value::Null, &format!("`percent` is missing; {PERCENT}"));
    for bad in ["0", "100", "100.5"] {
        let sentence = format!("`percent` is the text \"{bad}\"; {PERCENT}");
        check_kind("percent_off", "percent", json!(bad), &sentence);
    }
    check_kind(
        "text_only",
        "price",
        json!("5"),
        "`price` is the text \"5\"; expected nothing for this kind of promotion",
    );
    check_kind(
        "text_only",
        "percent",
        json!("5"),
        "`percent` is the text \"5\"; expected nothing for this kind of promotion",
    );
    check_kind(
        "member_price",
        "audience",
        json!("all"),
        "`audience` is the text \"all\"; expected member, or nothing, for kind member_price",
    );
}

#[test]
fn a_bad_promotion_is_told_in_one_sentence() {
    const INSTANT: &str = "expected an RFC 3339 instant since 1970 with offset such as \"2026-11-25T00:00:00+08:00\"";
    const SKUS: &str =
        "expected an array of at most 50000 skus, each 1 to 64 printable ASCII characters without spaces";
    const KINDS: &str =
        "expected one of special_price, percent_off, member_price, limited_time, store_exclusive, text_only";
    check_promotion("kind", json!("free"), &format!("`kind` is the text \"free\"; {KINDS}"));
    check_promotion("kind", Value::Null, &format!("`kind` is missing; {KINDS}"));
    check_promotion("audience", json!("vip"), "`audience` is the text \"vip\"; expected one of all, member");
    check_promotion("channel", json!("app"), "`channel` is the text \"app\"; expected one of store, online, both");
    check_promotion(
        "priority",
        json!(1.5),
        "`priority` is the number 1.5; expected an integer between -9007199254740991 and 9007199254740991",
    );
    check_promotion(
        "price",
        Value::Null,
        "`price` is missing; expected an amount as a decimal string such as \"59.90\"",
    );
    check_promotion("start", Value::Null, &format!("`start` is missing; {INSTANT}"));
    for bad in [
        "2026-11-25T00:00:00",
        "2026-11-25",
        "2026-11-25 00:00:00+08:00",
        "2026-11-25T00:00+08:00",
        "2026-11-25T00:00:00+0800",
        "2026-11-25T00:00:00+08",
        "2026-11-25T00:00:00.+08:00",
        "2026-13-25T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-11-25T00:00:00Z[UTC]",
        "２026-11-25T00:00:00Z",
        "",
    ] {
        check_promotion("start", json!(bad), &format!("`start` is the text \"{bad}\"; {INSTANT}"));
    }
    check_promotion(
        "end",
        json!("2026-11-25T00:00:00+08:00"),
        "`end` is the text \"2026-11-25T00:00:00+08:00\"; expected an instant after `start`",
    );
    check_promotion("skus", Value::Null, &format!("`skus` is missing; {SKUS}"));
    check_promotion("skus", json!("1101"), &format!("`skus` is the text \"1101\"; {SKUS}"));
    check_promotion("skus", json!(["1101", 1102]), &format!("`skus` is an array with the number 1102; {SKUS}"));
    let many: Vec<String> = (0..=PROMOTION_SKUS_MAX).map(|number| number.to_string()).collect();
    check_promotion("skus", json!(many), &format!("`skus` is an array of 50001 items; {SKUS}"));
}

#[test]
fn instants_of_other_offsets_are_the_same_instants() {
    let start = |text: &str| {
        let mut row = to_json(&promotion(special_price("P", 1, &[], "1")));
        row["start"] = json!(text);
        match parse(Facet::Promotion, row.to_string().as_bytes()).rows.pop().map(|row| row.change) {
            Some(Change::Promotion(promotion)) => promotion.start,
            other => panic!("{other:?}"),
        }
    };
    let expected = instant("2026-11-25T00:00:00+08:00");
    for text in ["2026-11-24T16:00:00Z", "2026-11-24t16:00:00z", "2026-11-24T11:00:00-05:00", "2026-11-24T16:00:00.0Z"]
    {
        assert_eq!(start(text), expected, "{text}");
    }
}

#[test]
fn reported_names_are_bounded() {
    let fields: Vec<String> = (0..1_000).map(|number| format!(r#""x{number}":1"#)).collect();
    let payload = format!(r#"{{"sku":"1101","revision":7,{}}}"#, fields.join(","));
    let parsed = parse(Facet::Base, payload.as_bytes());
    assert_eq!(parsed.unknown_fields.len(), UNKNOWN_FIELDS_MAX);
    assert_eq!(parsed.rows.len(), 1);
}

/// The row as a source would send it.
fn to_json(row: &Row) -> Value {
    let rfc3339 = |moment: gondola_protocol::Moment| {
        jiff::Timestamp::from_microsecond(i64::try_from(moment.as_micros()).unwrap()).unwrap().to_string()
    };
    let revision = row.revision;
    match (&row.key, &row.change) {
        (_, Change::Base(it)) => json!({
            "sku": it.sku, "revision": revision, "name": it.name, "brand": it.brand, "spec": it.spec,
            "origin": it.origin, "grade": it.grade, "unit": it.unit, "barcode": it.barcode, "category": it.category,
            "price": it.price, "attributes": it.attributes,
            "content": it.content.map(|it| json!({"amount": it.amount, "unit": it.unit})),
        }),
        (_, Change::Promotion(it)) => {
            let (price, percent) = match it.reduction {
                Reduction::Price(price) => (Some(price), None),
                Reduction::Percent(percent) => (None, Some(percent)),
                Reduction::Text => (None, None),
            };
            json!({
                "promotion_id": it.id, "revision": it.revision, "skus": it.skus, "kind": it.kind, "price": price,
                "percent": percent, "start": rfc3339(it.start), "end": rfc3339(it.end), "text": it.text,
                "audience": it.audience, "channel": it.channel, "priority": it.priority,
            })
        }
        (_, Change::Stock(it)) => json!({
            "sku": row.key.id(), "revision": revision, "quantity": it.quantity, "reorder_level": it.reorder_level,
            "sold_per_day": it.sold_per_day,
        }),
        other => panic!("{other:?}"),
    }
}

fn any_text() -> impl Strategy<Value = Option<SmolStr>> {
    prop::option::of("[^\\p{Cc}]{0,20}".prop_map(SmolStr::from))
}

fn any_amount() -> impl Strategy<Value = Decimal> {
    (0..1_000_000_000_000i64, 0..=6u32).prop_map(|(digits, scale)| Decimal::new(digits, scale))
}

fn any_content() -> impl Strategy<Value = Option<Content>> {
    let unit = prop::sample::select(ContentUnit::ALL.to_vec());
    prop::option::of((1..1_000_000i64, 0..=6u32, unit))
        .prop_map(|it| it.map(|(digits, scale, unit)| Content { amount: Decimal::new(digits, scale), unit }))
}

fn any_base_row() -> impl Strategy<Value = Row> {
    let head = ("[!-~]{1,64}", 0..=REVISION_MAX, prop::option::of(any_amount()), any_content());
    let texts = [any_text(), any_text(), any_text(), any_text(), any_text(), any_text(), any_text(), any_text()];
    let text = |pattern: &'static str| pattern.prop_map(SmolStr::from);
    let attributes = prop::collection::btree_map(text("[^\\p{Cc}]{1,8}"), text("[^\\p{Cc}]{0,8}"), 0..4);
    (head, texts, attributes).prop_map(|((key, revision, price, content), texts, attributes)| {
        let [name, brand, spec, origin, grade, unit, barcode, category] = texts;
        let attributes = Some(Box::new(attributes)).filter(|all| !all.is_empty());
        let sku = sku(&key);
        let key = RowKey::Sku(Facet::Base, sku.clone());
        let texts = Product { name, brand, spec, origin, grade, unit, barcode, category, ..Product::bare(sku) };
        Row { key, revision, change: Change::Base(Product { price, content, attributes, ..texts }) }
    })
}

/// A kind with a reduction that it can have.
fn any_reduction() -> impl Strategy<Value = (Kind, Reduction)> {
    let priced = prop::sample::select(vec![Kind::SpecialPrice, Kind::LimitedTime, Kind::StoreExclusive]);
    prop_oneof![
        3 => (priced, any_amount().prop_map(Reduction::Price)),
        1 => (1..10_000i64).prop_map(|share| (Kind::PercentOff, Reduction::Percent(Decimal::new(share, 2)))),
        1 => Just((Kind::TextOnly, Reduction::Text)),
    ]
}

fn any_promotion_row() -> impl Strategy<Value = Row> {
    let channel = prop::sample::select(Channel::ALL.to_vec());
    let skus = prop::collection::btree_set("[!-~]{1,8}", 0..6);
    // Microseconds up to the year 2200; the length is at least one.
    let time = (0..7_258_118_400_000_000u64, 1..1_000_000_000_000u64);
    ("[!-~]{1,64}", 0..=REVISION_MAX, skus, any_reduction(), time, any_text(), channel, any::<i32>()).prop_map(
        |(id, revision, skus, (kind, reduction), (start, length), text, channel, priority)| {
            promotion(Promotion {
                skus: skus.iter().map(|key| sku(key)).collect(),
                kind,
                reduction,
                start: gondola_protocol::Moment::from_micros(start),
                end: gondola_protocol::Moment::from_micros(start + length),
                text,
                channel,
                priority: priority.into(),
                ..special_price(&id, revision, &[], "1")
            })
        },
    )
}

fn any_junk() -> impl Strategy<Value = Value> {
    let fields = prop::sample::select(
        [BASE_FIELDS, PROMOTION_FIELDS, STOCK_FIELDS, RETURNS_FIELDS, RATING_FIELDS, ASSORTMENT_FIELDS].concat(),
    );
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((fields.clone(), inner), 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(payload in prop::collection::vec(any::<u8>(), 0..256)) {
        for facet in Facet::ALL {
            let _ = parse(*facet, &payload);
        }
    }

    #[test]
    fn any_json_is_read_without_a_panic(payload in any_junk()) {
        for facet in Facet::ALL {
            for error in parse(*facet, payload.to_string().as_bytes()).errors {
                let sentence = error.to_string();
                prop_assert!(!sentence.chars().any(char::is_control) && sentence.len() < 1_000, "{}", sentence);
            }
        }
    }

    #[test]
    fn any_item_of_a_request_is_read_without_a_panic(item in any_junk()) {
        for form in [rest::Form::Whole, rest::Form::Patch, rest::Form::Price] {
            for facet in Facet::ALL {
                let _ = rest::item(*facet, form, &item);
            }
        }
    }

    #[test]
    fn a_base_row_comes_back_as_it_was_sent(row in any_base_row()) {
        let parsed = parse(Facet::Base, to_json(&row).to_string().as_bytes());
        prop_assert_eq!((parsed.rows, parsed.errors), (vec![row], vec![]));
    }

    #[test]
    fn a_promotion_comes_back_as_it_was_sent(row in any_promotion_row()) {
        let parsed = parse(Facet::Promotion, to_json(&row).to_string().as_bytes());
        prop_assert_eq!((parsed.rows, parsed.errors), (vec![row], vec![]));
    }

    #[test]
    fn bad_rows_block_no_others(rows in prop::collection::vec(prop_oneof![
        any_promotion_row().prop_map(Ok),
        any_junk().prop_filter("an object that lacks its key", |it| it.get("promotion_id").is_none()).prop_map(Err),
    ], 0..12)) {
        let payload: Value = rows.iter().map(|row| row.as_ref().map_or_else(Value::clone, to_json)).collect();
        let parsed = parse(Facet::Promotion, payload.to_string().as_bytes());
        let valid: Vec<Row> = rows.iter().filter_map(|row| row.as_ref().ok().cloned()).collect();
        let bad: Vec<Place> = (1..).zip(&rows).filter(|(_, row)| row.is_err()).map(|(it, _)| Place::Row(it)).collect();
        prop_assert_eq!(parsed.rows, valid);
        prop_assert_eq!(parsed.errors.iter().map(|error| error.place).collect::<Vec<_>>(), bad);
    }
}
