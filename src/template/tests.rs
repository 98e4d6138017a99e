//! Loading templates: every mistake is told, in a sentence, with its place.

use std::fs;

use proptest::prelude::*;

use super::expression::Expressions;
use super::{Templates, parse, rules};

const RULES: &str = "[[rule]]\ntemplate = \"tag\"\n";

/// Loads one template `tag` and rules from a directory; its errors without the directory's name.
fn errors(template: &str, rules: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("tag.xml"), template).unwrap();
    fs::write(directory.path().join("rules.toml"), rules).unwrap();
    let prefix = format!("{}/", directory.path().display());
    match Templates::from_directory(directory.path()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.to_string().replace(&prefix, "")).collect(),
    }
}

#[track_caller]
fn check(inside: &str, expected: &[&str]) {
    assert_eq!(errors(&format!("<template name=\"tag\">\n  {inside}\n</template>"), RULES), expected);
}

#[track_caller]
fn check_rules(rules: &str, expected: &[&str]) {
    assert_eq!(errors("<template name=\"tag\"/>", rules), expected);
}

#[test]
fn what_ships_compiles_and_is_named() {
    let templates = Templates::embedded();
    let names: Vec<&str> = templates.names().collect();
    assert_eq!(names.len(), 11, "{names:?}");
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("label-templates");
    assert!(Templates::from_directory(&directory).unwrap().names().eq(templates.names()), "all of them are embedded");
}

#[test]
fn a_text_takes_the_place_of_another_or_changes_nothing() {
    let shipped = Templates::embedded();
    let edited = shipped.with_texts([("standard", "<template name=\"standard\"/>"), ("none", "<")]).unwrap();
    assert_eq!(edited.text("standard"), Some("<template name=\"standard\"/>"));
    assert_eq!((edited.text("strip"), edited.text("none")), (shipped.text("strip"), None));
    assert!(edited.names().eq(shipped.names()));
    let refused =
        shipped.with_texts([("standard", "<template name=\"standard\">\n  <text size=\"huge\">a</text></template>")]);
    let refused: Vec<String> = refused.unwrap_err().iter().map(ToString::to_string).collect();
    assert!(refused[0].starts_with("standard.xml:2:"), "{refused:?}");
    let long = format!("<template name=\"standard\"/>{}", " ".repeat(64 * 1024));
    assert_eq!(
        shipped.with_texts([("standard", long.as_str())]).unwrap_err()[0].to_string(),
        "standard.xml:1:1: the file has 65563 bytes; expected at most 65536"
    );
}

#[test]
fn templates_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Templates>();
    shared::<super::Scene>();
}

#[test]
fn a_whole_template_loads() {
    check(
        r#"<box direction="column" gap="2" padding="1 2" align="baseline" justify="space-evenly" width="50%" height="20" border="1" radius="3">
            <text size="28..14" lines="2" overflow="clip" font="pixel" weight="bold" text-decoration="line-through"
                  text-align="center" when="product.attributes.roast and panel.width > 200">{{ product.name | upper }}!</text>
            <badge background="red" color="white">new</badge><rule color="red" width="1"/>
            <price size="40" currency="EUR" unit="kg">{{ product.price }}</price>
            <qrcode module="4..2" level="q">{{ product.sku }}</qrcode><datamatrix>1</datamatrix>
            <box each="products"><text>{{ product.name }}</text></box>
            <barcode type="ean13" module="2" digits="none">{{ product.barcode }}</barcode>
            <text>{% for each in products %}{{ each.name }} {% endfor %}</text></box>"#,
        &[],
    );
}

#[test]
fn elements_and_attributes_are_known_ones() {
    check(
        "<blink/>",
        &[
            "tag.xml:2:3: unknown element `blink`; expected one of box, text, price, barcode, qrcode, datamatrix, image, rule, badge",
        ],
    );
    check(
        "<rule colour=\"red\"/>",
        &[
            "tag.xml:2:9: unknown attribute `colour` of `rule`; expected one of color, grow, height, shrink, when, width",
        ],
    );
    check("<box gap=\"wide\"/>", &["tag.xml:2:8: `gap` is `wide`; expected a whole number from 0 to 3200"]);
    check(
        "<box align=\"middle\"/>",
        &["tag.xml:2:8: `align` is `middle`; expected one of start, center, end, stretch, baseline"],
    );
    check(
        "<text size=\"8\">a</text>",
        &[
            "tag.xml:2:9: `size` is `8`; expected a size from 12 to 320 like `16`, or a larger and a smaller one like `28..14`",
        ],
    );
    check("<text lines=\"0\">a</text>", &["tag.xml:2:9: `lines` is `0`; expected a whole number from 1 to 8"]);
    check(
        "<box padding=\"1 2 3\"/>",
        &["tag.xml:2:8: `padding` is `1 2 3`; expected 1, 2 or 4 numbers of pixels like `4`, `2 6` or `2 6 4 6`"],
    );
    check(
        "<box width=\"120%\"/>",
        &["tag.xml:2:8: `width` is `120%`; expected pixels from 0 to 3200 like `24`, or a share like `50%`"],
    );
    let bars = "one of ean13, ean8, upca, code128";
    check("<barcode>1</barcode>", &[&format!("tag.xml:2:3: `barcode` has no `type`; expected {bars}")]);
    check("<barcode type=\"qr\">1</barcode>", &[&format!("tag.xml:2:12: `type` is `qr`; expected {bars}")]);
    check(
        "<qrcode module=\"1\">1</qrcode>",
        &[
            "tag.xml:2:11: `module` is `1`; expected whole pixels from 2 to 8 like `2`, or a larger and a smaller number like `4..2`",
        ],
    );
    check(
        "<image src=\"logo.png\"/>",
        &[
            "tag.xml:2:10: `src` is `logo.png`; expected a PNG in the folder `images` beside the template (that folder is empty)",
        ],
    );
    check("<box each=\"stores\"/>", &["tag.xml:2:8: `each` is `stores`; expected `products`"]);
}

#[test]
fn content_stands_where_it_can() {
    check("text", &["tag.xml:1:22: `template` holds text; expected elements; text stands in `text`"]);
    check("<text/>", &["tag.xml:2:3: `text` holds nothing; expected text like `{{ product.name }}`"]);
    check("<text><rule/></text>", &["tag.xml:2:9: `text` holds `rule`; expected text"]);
    check("<rule>-</rule>", &["tag.xml:2:3: `rule` holds something; expected nothing"]);
}

#[test]
fn fields_are_known_ones() {
    check(
        "<text>{{ product.nmae }}</text>",
        &[
            "tag.xml:2:9: unknown field `product.nmae`; expected one of attributes, barcode, brand, category, currency, \
         grade, in_assortment, known, member_price, member_promotion, name, origin, price, promotion, rating, returns, sku, \
         spec, stock, unit, unit_price, was",
        ],
    );
    check(
        "<text>{{ prodct.name }}</text>",
        &["tag.xml:2:9: unknown field `prodct.name`; expected one of panel, product, products, store"],
    );
    check(
        "<text>{{ product.name.first }}</text>",
        &["tag.xml:2:9: unknown field `product.name.first`; expected nothing below it"],
    );
    check(
        "<rule when=\"store.city\"/>",
        &["tag.xml:2:9: unknown field `store.city`; expected one of format, id, market, name"],
    );
    check(
        "<price unit=\"{{ product.unti }}\">1</price>",
        &[
            "tag.xml:2:10: unknown field `product.unti`; expected one of attributes, barcode, brand, category, currency, \
         grade, in_assortment, known, member_price, member_promotion, name, origin, price, promotion, rating, returns, sku, \
         spec, stock, unit, unit_price, was",
        ],
    );
}

#[test]
fn expressions_can_be_evaluated() {
    check(
        "<text>{{ product.name | shout }}</text>",
        &[
            "tag.xml:2:9: `{{ product.name | shout }}` is no expression that can be evaluated (unknown filter: filter shout is \
         unknown); expected one like `product.price`",
        ],
    );
    check(
        "<rule when=\"product.price and\"/>",
        &[
            "tag.xml:2:9: `product.price and` is no expression that can be evaluated (unexpected end of input, expected \
         expression); expected one like `product.price`",
        ],
    );
}

#[test]
fn a_template_is_well_formed_and_bears_its_name() {
    assert_eq!(
        errors("<template name=\"tag\">", RULES),
        ["tag.xml:1:1: the root node was opened but never closed; expected well-formed XML"]
    );
    assert_eq!(errors("<label/>", RULES), ["tag.xml:1:1: unknown element `label`; expected one of template"]);
    assert_eq!(
        errors("<template/>", RULES),
        ["tag.xml:1:1: `template` has no `name`; expected the name of its file, `tag`"]
    );
    assert_eq!(
        errors("<template name=\"other\"/>", RULES),
        ["tag.xml:1:11: `name` is `other`; expected the name of its file, `tag`"]
    );
    assert_eq!(
        errors("<template name=\"tag\" panels=\"296\"/>", RULES),
        ["tag.xml:1:22: `panels` is `296`; expected panels like `bwr-296x128`, or sizes like `400x300`"]
    );
}

#[test]
fn every_problem_is_told_at_once() {
    let said = errors(
        "<template name=\"tag\"><blink/><rule x=\"1\"/><box gap=\"a\"/></template>",
        "[[rule]]\ntemplate = \"tga\"\n",
    );
    assert_eq!(said.len(), 4, "{said:?}");
}

#[test]
fn templates_are_no_deeper_and_no_larger_than_labels_need() {
    check(
        &format!("{}{}", "<box>".repeat(16), "</box>".repeat(16)),
        &["tag.xml:2:78: more than 16 elements inside one another; expected at most 16"],
    );
    check(&"<rule/>".repeat(256), &["tag.xml:2:1788: more than 256 elements; expected at most 256"]);
    let long = format!("<template name=\"tag\">{}</template>", " ".repeat(64 * 1024));
    assert_eq!(errors(&long, RULES), ["tag.xml:1:1: the file has 65568 bytes; expected at most 65536"]);
}

#[test]
fn rules_are_complete_and_name_templates() {
    check_rules("[[rule]]\ntemplate = \"tga\"\n", &["rules.toml:2:12: unknown template `tga`; expected one of tag"]);
    check_rules(
        "",
        &[
            "rules.toml:1:1: there is no rule; expected a last `[[rule]]` without `when`, which takes what the others leave",
        ],
    );
    check_rules(
        "[[rule]]\ntemplate = \"tag\"\nwhen = \"product.price\"\n",
        &[
            "rules.toml:2:12: the last rule has `when`; expected a last `[[rule]]` without `when`, which takes what the others \
         leave",
        ],
    );
    check_rules(
        &RULES.repeat(2),
        &["rules.toml:2:12: a rule without `when` before the last; expected `when`, or the rules after it never match"],
    );
    check_rules(
        &format!("[[rule]]\ntemplate = \"tag\"\nwhen = \"product.prize\"\n{RULES}"),
        &[
            "rules.toml:3:8: unknown field `product.prize`; expected one of attributes, barcode, brand, category, currency, \
         grade, in_assortment, known, member_price, member_promotion, name, origin, price, promotion, rating, returns, sku, \
         spec, stock, unit, unit_price, was",
        ],
    );
    check_rules(
        "[[rule]]\ntemplate = \"tag\"\nif = \"x\"\n",
        &["rules.toml:3:1: unknown field `if`, expected `template` or `when`; expected well-formed rules"],
    );
}

#[test]
fn a_directory_without_rules_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let said = Templates::from_directory(directory.path()).unwrap_err()[0].to_string();
    assert!(said.contains("rules.toml:1:1: cannot be read (No such file"), "{said}");
    let said = Templates::from_directory(&directory.path().join("nowhere")).unwrap_err()[0].to_string();
    assert!(said.contains("nowhere:1:1: cannot be read (No such file"), "{said}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_template_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        attribute in "when|size|gap|padding|color|panels|direction",
        value in "\\PC{0,12}",
        text in "(\\{\\{|\\}\\}|\\{%|%\\}|product|\\.|name|for|in|\\||[ (\\['a-z0-9+*])*",
    ) {
        let mut expressions = Expressions::new();
        let source = String::from_utf8_lossy(&bytes).into_owned();
        let _ = parse::template(&source, "tag", &mut expressions, &Default::default());
        let _ = rules::Rules::parse(&source, &["tag".to_owned()], &mut expressions);
        let value = value.replace(['"', '<', '&'], "");
        let source = format!("<template name='tag'><text {attribute}=\"{value}\">{text}</text></template>");
        let _ = parse::template(&source, "tag", &mut expressions, &Default::default());
        let _ = rules::Rules::parse(&format!("[[rule]]\ntemplate='tag'\nwhen=\"\"\"{value}\"\"\""), &[], &mut expressions);
    }
}
