//! What writes carry, for the interface's document. Bodies are read field by field, so that an error names its place; a
//! test holds these against what is read.

use utoipa::ToSchema;

/// Rows as in the feed, each with its source's `revision`: at most 1000.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Rows {
    #[schema(max_items = 1000)]
    items: Vec<serde_json::Value>,
}

/// What to bind a label to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Bind {
    #[schema(min_items = 1, max_items = 8)]
    skus: Vec<String>,
    /// Instead of the rules' choice.
    template: Option<String>,
    /// Also products that no source has told of.
    allow_unknown: Option<bool>,
}

/// How a label does what it is told: `color`, `seconds` and `pattern` where it blinks, `index` where it turns a page.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Command {
    /// off, red, green, yellow, blue, magenta, cyan or white.
    color: Option<String>,
    /// 1 to 3600.
    seconds: Option<u16>,
    /// steady, slow or fast.
    pattern: Option<String>,
    /// 0 to 7.
    index: Option<u8>,
}

/// The same for a group: the labels named, and those that show the products named, 1 to 1000 together.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct GroupCommand {
    labels: Option<Vec<String>>,
    skus: Option<Vec<String>>,
    /// off, red, green, yellow, blue, magenta, cyan or white.
    color: Option<String>,
    /// 1 to 3600.
    seconds: Option<u16>,
    /// steady, slow or fast.
    pattern: Option<String>,
    /// 0 to 7.
    index: Option<u8>,
}

/// Nothing.
#[derive(ToSchema)]
pub(in crate::web) struct Nothing {}

/// Which device takes the place.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Replace {
    #[schema(example = "0000021B6D403B1E")]
    with: String,
}

/// Labels and what to bind each to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Bindings {
    #[schema(max_items = 1000)]
    items: Vec<Binding>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Binding {
    #[schema(example = "0000021B6D403B1E")]
    label: String,
    #[schema(min_items = 1, max_items = 8)]
    skus: Vec<String>,
    template: Option<String>,
    allow_unknown: Option<bool>,
}

/// Labels to use in the store.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Registrations {
    #[schema(max_items = 1000)]
    items: Vec<Registration>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Registration {
    #[schema(example = "0000021B6D403B1E")]
    label: String,
    #[schema(example = "bwr-296x128")]
    panel: String,
    position: Option<Position>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Position {
    aisle: Option<String>,
    shelf: Option<String>,
    slot: Option<String>,
}

/// Which labels to look at again, and how.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Push {
    /// `incremental` (the default) or `full`.
    mode: Option<String>,
    scope: Option<Scope>,
    /// Send again what is proven already.
    resend: Option<bool>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Scope {
    skus: Option<Vec<String>>,
    labels: Option<Vec<String>>,
    /// The labels of products that the store sells, where neither products nor labels are named.
    assortment: Option<bool>,
}

/// Which facets to fetch; all of them without a list.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Reload {
    facets: Option<Vec<String>>,
}

/// A template's new text.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct TemplateText {
    text: String,
    /// The version that was edited: another one by now is a conflict.
    version: Option<u32>,
}

/// Where to go back to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct RollBack {
    /// A version; 0 is the template as it came.
    to: u32,
}

/// A template that is not saved.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Draft {
    text: String,
}

/// A draft, and what it is drawn for.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct DraftPreview {
    text: String,
    #[schema(example = "bwr-296x128")]
    panel: Option<String>,
    /// One of the store's products.
    sku: Option<String>,
    /// Instead of it, a product that ships: pistachios, clementines, egg-cakes, gift-box, honey, salt or soy-milk.
    sample: Option<String>,
    /// 1 to 8.
    scale: Option<String>,
}

/// A draft that a label shows.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct TrialOrder {
    template: String,
    text: String,
}

/// For how many minutes labels that report are registered unasked: 0 to 240.
#[derive(ToSchema)]
#[expect(dead_code, reason = "described, not read")]
pub(in crate::web) struct Enrolment {
    minutes: u64,
}
