//! The labels that golden pictures show: for each template what it is for, and what is hard for it.

use gondola::template::view::{
    LabelView, ProductView, PromotionView, RatingView, ReturnsView, StockView, StoreView, UnitPriceView,
};

/// Each size of panel once, landscape and upright, with the colours taking turns.
pub(crate) const PANELS: [&str; 12] = [
    "bw-212x104",
    "bwr-250x122",
    "bwr-296x128",
    "bwy-384x168",
    "bwr-400x300",
    "bwry-800x480",
    "bw-104x212",
    "bwy-122x250",
    "bwr-128x296",
    "bwry-168x384",
    "bwy-300x400",
    "bwr-480x800",
];

/// A small, a common and a large panel.
pub(crate) const SOME_PANELS: [&str; 3] = ["bw-212x104", "bwr-296x128", "bwy-300x400"];

/// One label to draw.
pub(crate) struct Sample {
    /// What its golden pictures are called.
    pub(crate) name: &'static str,
    /// The template that shows it.
    pub(crate) template: &'static str,
    pub(crate) view: LabelView,
    pub(crate) panels: &'static [&'static str],
}

pub(crate) fn label(market: &str, product: ProductView) -> LabelView {
    labels(market, vec![product])
}

fn labels(market: &str, products: Vec<ProductView>) -> LabelView {
    let store = StoreView {
        id: "hz-001".to_owned(),
        name: "杭州解百店".to_owned(),
        format: "community".to_owned(),
        market: market.to_owned(),
    };
    LabelView { store, products }
}

pub(crate) fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn per(amount: &str, per: &str) -> Option<UnitPriceView> {
    Some(UnitPriceView { amount: amount.to_owned(), per: per.to_owned() })
}

pub(crate) fn pistachios() -> ProductView {
    ProductView {
        sku: "1101".to_owned(),
        known: true,
        in_assortment: true,
        name: some("加州开心果"),
        brand: some("严选"),
        spec: some("500g/袋"),
        origin: some("美国"),
        grade: some("一级"),
        unit: some("袋"),
        barcode: some("6901234567892"),
        category: some("nuts"),
        currency: "CNY".to_owned(),
        price: some("59.90"),
        unit_price: per("119.80", "kg"),
        ..ProductView::default()
    }
}

pub(crate) fn rated() -> ProductView {
    ProductView {
        name: some("加州开心果 California Pistachios"),
        rating: Some(RatingView { score: some("4.8"), count: Some(2210), class: some("A") }),
        attributes: [("url".to_owned(), "https://gondola.example/p/1101".to_owned())].into(),
        ..pistachios()
    }
}

pub(crate) fn promotion(kind: &str, text: Option<&str>) -> PromotionView {
    PromotionView {
        id: "P-88".to_owned(),
        kind: kind.to_owned(),
        text: text.map(str::to_owned),
        percent: None,
        start_date: "2026-11-25".to_owned(),
        start_time: "00:00".to_owned(),
        end_date: "2026-11-27".to_owned(),
        end_time: "24:00".to_owned(),
    }
}

pub(crate) fn reduced() -> ProductView {
    ProductView {
        price: some("49.90"),
        was: some("56.00"),
        unit_price: per("99.80", "kg"),
        promotion: Some(promotion("special_price", Some("双十一"))),
        ..pistachios()
    }
}

pub(crate) fn coffee() -> ProductView {
    ProductView {
        sku: "2202".to_owned(),
        name: some("Organic Fair Trade Colombian Single Origin Whole Bean Coffee"),
        brand: some("Müller & Söhne"),
        spec: some("1 kg"),
        origin: some("Colombia"),
        grade: some("A"),
        unit: some("pack"),
        barcode: some("4006381333931"),
        category: some("coffee"),
        currency: "EUR".to_owned(),
        price: some("12.99"),
        unit_price: per("12.99", "kg"),
        ..pistachios()
    }
}

fn percent_off() -> ProductView {
    let promotion = PromotionView { percent: some("20"), ..promotion("percent_off", None) };
    ProductView {
        price: some("10.39"),
        was: some("12.99"),
        unit_price: per("10.39", "kg"),
        promotion: Some(promotion),
        ..coffee()
    }
}

fn limited() -> ProductView {
    let hours = PromotionView {
        start_time: "18:00".to_owned(),
        end_date: "2026-11-25".to_owned(),
        end_time: "21:00".to_owned(),
        ..promotion("limited_time", Some("限时抢购"))
    };
    ProductView { price: some("45.00"), unit_price: per("90.00", "kg"), promotion: Some(hours), ..reduced() }
}

fn for_members() -> ProductView {
    ProductView {
        member_price: some("52.00"),
        member_promotion: Some(promotion("member_price", Some("会员日"))),
        ..pistachios()
    }
}

fn returned() -> ProductView {
    ProductView {
        name: some("日式和风人体工学椅"),
        spec: some("1 把"),
        origin: some("浙江安吉"),
        grade: None,
        unit: some("把"),
        barcode: some("6949094991051"),
        price: some("399.00"),
        was: some("699.00"),
        unit_price: None,
        returns: Some(ReturnsView { y_code: "Y20391".to_owned(), grade: some("B") }),
        ..pistachios()
    }
}

fn sold_out() -> ProductView {
    ProductView {
        stock: Some(StockView { quantity: 0, reorder_level: Some(12), sold_per_day: some("5.5") }),
        ..pistachios()
    }
}

fn stocked() -> ProductView {
    ProductView {
        stock: Some(StockView { quantity: 34, reorder_level: Some(12), sold_per_day: some("5.5") }),
        ..pistachios()
    }
}

fn cups() -> Vec<ProductView> {
    let cup = |sku: &str, name: &str, spec: &str, barcode: &str, price: &str| ProductView {
        sku: sku.to_owned(),
        name: some(name),
        spec: some(spec),
        unit: some("个"),
        barcode: some(barcode),
        price: some(price),
        origin: some("景德镇"),
        unit_price: None,
        ..pistachios()
    };
    vec![
        cup("3301", "白瓷马克杯", "350 ml", "6901234567892", "39.00"),
        cup("3302", "手作咖啡杯", "220 ml", "4006381333931", "59.90"),
        cup("3303", "玻璃茶杯", "260 ml", "9780201379624", "29.90"),
    ]
}

/// Every sample of every template.
pub(crate) fn samples() -> Vec<Sample> {
    let one = |name, template, market, product, panels| Sample { name, template, view: label(market, product), panels };
    let unpriced = ProductView { price: None, unit_price: None, ..pistachios() };
    let unknown = ProductView {
        sku: "0900".to_owned(),
        in_assortment: true,
        currency: "CNY".to_owned(),
        ..ProductView::default()
    };
    let delisted = ProductView { in_assortment: false, ..pistachios() };
    let member_coffee = ProductView {
        member_price: some("10.99"),
        member_promotion: Some(promotion("member_price", None)),
        ..coffee()
    };
    vec![
        one("standard", "standard", "CN", pistachios(), &PANELS),
        one("standard-rated", "standard", "CN", rated(), &SOME_PANELS),
        one("standard-long-name", "standard", "EU", coffee(), &SOME_PANELS),
        one("promotion", "promotion", "CN", reduced(), &PANELS[..4]),
        one("promotion-upright", "promotion", "CN", reduced(), &PANELS[6..10]),
        one("promotion-percent", "promotion", "EU", percent_off(), &SOME_PANELS[..2]),
        one("limited-time", "limited-time", "CN", limited(), &PANELS),
        one("member", "member", "CN", for_members(), &PANELS),
        one("member-long-name", "member", "EU", member_coffee, &SOME_PANELS),
        one("clearance", "clearance", "CN", returned(), &PANELS),
        one("sold-out", "sold-out", "CN", sold_out(), &PANELS),
        one("not-for-sale", "not-for-sale", "CN", delisted, &PANELS),
        one("no-price", "no-price", "CN", unpriced, &PANELS),
        one("no-price-unknown", "no-price", "CN", unknown, &SOME_PANELS),
        one("poster", "poster", "CN", reduced(), &["bwr-400x300", "bwry-800x480", "bwy-300x400", "bwr-480x800"]),
        one("poster-percent", "poster", "EU", percent_off(), &["bwr-400x300", "bwr-480x800"]),
        one("back-room", "back-room", "CN", stocked(), &PANELS),
        Sample { name: "strip", template: "strip", view: labels("CN", cups()), panels: &PANELS },
    ]
}
