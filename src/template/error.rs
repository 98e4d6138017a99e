//! What can be wrong with templates and rules.

/// One problem in a template or in the rules, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct TemplateError {
    /// The file as it was named when it was read.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What was found, and what was expected.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read ({why}); expected a text file in UTF-8")]
    Unreadable {
        /// The system's word.
        why: String,
    },
    /// The file is too long.
    #[error("the file has {found} bytes; expected at most {expected}")]
    TooLong {
        /// Its length.
        found: usize,
        /// The limit.
        expected: usize,
    },
    /// Not well-formed XML or TOML.
    #[error("{why}; expected well-formed {format}")]
    Malformed {
        /// XML or TOML.
        format: &'static str,
        /// The parser's word.
        why: String,
    },
    /// An element that there is not.
    #[error("unknown element `{found}`; expected one of {expected}")]
    UnknownElement {
        /// The element.
        found: String,
        /// Those that could stand here.
        expected: String,
    },
    /// An attribute that the element does not have.
    #[error("unknown attribute `{found}` of `{element}`; expected one of {expected}")]
    UnknownAttribute {
        /// The element.
        element: String,
        /// The attribute.
        found: String,
        /// Those that it has.
        expected: String,
    },
    /// An attribute with a value that it cannot have.
    #[error("`{attribute}` is `{found}`; expected {expected}")]
    Value {
        /// The attribute.
        attribute: String,
        /// Its value.
        found: String,
        /// What it could be.
        expected: String,
    },
    /// An attribute that is not there.
    #[error("`{element}` has no `{attribute}`; expected {expected}")]
    Missing {
        /// The element.
        element: String,
        /// The attribute.
        attribute: &'static str,
        /// What it could be.
        expected: String,
    },
    /// Text or children where there can be none.
    #[error("`{element}` holds {found}; expected {expected}")]
    Content {
        /// The element.
        element: String,
        /// What stands in it.
        found: String,
        /// What could.
        expected: &'static str,
    },
    /// More elements than a label can need.
    #[error("more than {expected} {what}; expected at most {expected}")]
    TooMany {
        /// Elements, or elements inside one another.
        what: &'static str,
        /// The limit.
        expected: usize,
    },
    /// A field that no view has.
    #[error("unknown field `{found}`; expected {}", one_of(.expected))]
    UnknownField {
        /// The whole path.
        found: String,
        /// What could stand at the first unknown place.
        expected: Vec<String>,
    },
    /// A picture that cannot be used.
    #[error("is no picture that can be shown ({why}); expected a PNG")]
    Picture {
        /// The reason.
        why: String,
    },
    /// An expression that does not compile or run.
    #[error("`{source_text}` is no expression that can be evaluated ({why}); expected one like `product.price`")]
    Expression {
        /// The expression.
        source_text: String,
        /// The reason.
        why: String,
    },
    /// A rule names a template that there is not.
    #[error("unknown template `{found}`; expected one of {}", .expected.join(", "))]
    UnknownTemplate {
        /// The name.
        found: String,
        /// The templates.
        expected: Vec<String>,
    },
    /// No rule takes what the others leave.
    #[error("{found}; expected a last `[[rule]]` without `when`, which takes what the others leave")]
    NoCatchAll {
        /// How the rules end.
        found: &'static str,
    },
    /// A rule that can never be reached.
    #[error("a rule without `when` before the last; expected `when`, or the rules after it never match")]
    Unreachable,
}

fn one_of(names: &[String]) -> String {
    if names.is_empty() { "nothing below it".to_owned() } else { format!("one of {}", names.join(", ")) }
}

/// Why a label has no scene.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SceneError {
    /// No template of that name is loaded.
    #[error("there is no template `{found}`; there are {}", .expected.join(", "))]
    UnknownTemplate {
        /// The name.
        found: String,
        /// The templates.
        expected: Vec<String>,
    },
    /// The template is for other panels.
    #[error("template `{template}` is not made for panel {panel}; it is for {expected}")]
    Panel {
        /// The template.
        template: String,
        /// The label's panel.
        panel: gondola_protocol::Panel,
        /// The template's panels.
        expected: String,
    },
    /// An expression failed with this view.
    #[error("template `{template}`: {why}")]
    Expression {
        /// The template.
        template: String,
        /// The reason.
        why: String,
    },
}
