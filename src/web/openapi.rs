//! `/openapi.json`: what the interface takes and gives, made from the same table as the router, so that neither can have
//! a route that the other lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response as Answer};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr, Required,
    Response, ResponseBuilder,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::problem::Details;
use super::routes::{Need, Route, table};

const JSON: &str = "application/json";

/// What the document calls the way in.
const BEARER: &str = "token";

/// The header that lets a write be sent again.
const KEY: &str = "Idempotency-Key";

/// What a route tells of itself, beside its method and path.
#[derive(Clone, Default)]
pub(super) struct Told {
    summary: &'static str,
    query: Vec<Parameter>,
    body: Option<RequestBody>,
    answer: Option<(StatusCode, &'static str, Option<RefOr<Schema>>)>,
    /// A status that comes with plain text where others come with a problem.
    plain: Option<StatusCode>,
    /// A refusal that routes like it do not have.
    refusal: Option<StatusCode>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Told {
    pub(super) fn of(summary: &'static str) -> Self {
        Self { summary, ..Self::default() }
    }

    /// Its query parameters.
    pub(super) fn query<Q: IntoParams>(mut self) -> Self {
        self.query = Q::into_params(|| Some(ParameterIn::Query));
        self
    }

    /// Its JSON body, which may be left out where none of its fields must be there.
    pub(super) fn takes<B: ToSchema>(mut self) -> Self {
        let needs_any = matches!(B::schema(), RefOr::T(Schema::Object(object)) if !object.required.is_empty());
        let required = if needs_any { Required::True } else { Required::False };
        let schema = self.named::<B>();
        let body = RequestBodyBuilder::new().required(Some(required)).content(JSON, Content::new(Some(schema)));
        self.body = Some(body.build());
        self
    }

    /// Its JSON answer.
    pub(super) fn gives<A: ToSchema>(mut self, status: StatusCode) -> Self {
        let schema = self.named::<A>();
        self.answer = Some((status, JSON, Some(schema)));
        self
    }

    /// One page of a list as its answer.
    pub(super) fn gives_list<A: ToSchema>(mut self) -> Self {
        let name = format!("{}List", A::name());
        let items = ArrayBuilder::new().items(self.named::<A>());
        let text_or_null = SchemaType::from_iter([Type::String, Type::Null]);
        let next = ObjectBuilder::new().schema_type(text_or_null).description(Some("The cursor of the next page"));
        let page = ObjectBuilder::new().property("items", items).property("next", next).required("items");
        let page = page.required("next").build();
        self.schemas.push((name.clone(), Schema::Object(page).into()));
        self.answer = Some((StatusCode::OK, JSON, Some(Ref::from_schema_name(name).into())));
        self
    }

    /// Its answer in another form.
    pub(super) fn gives_other(mut self, content_type: &'static str) -> Self {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        self.answer = Some((StatusCode::OK, content_type, Some(Schema::Object(text).into())));
        self
    }

    /// A refusal that says why in plain text.
    pub(super) fn refuses_plainly(self, status: StatusCode) -> Self {
        Self { plain: Some(status), ..self }
    }

    /// A refusal that routes like it do not have.
    pub(super) fn refuses(self, status: StatusCode) -> Self {
        Self { refusal: Some(status), ..self }
    }

    /// An answer without anything in it.
    pub(super) fn gives_nothing(mut self) -> Self {
        self.answer = Some((StatusCode::NO_CONTENT, JSON, None));
        self
    }

    fn named<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name().into_owned();
        T::schemas(&mut self.schemas);
        self.schemas.push((name.clone(), T::schema()));
        Ref::from_schema_name(name).into()
    }
}

/// The document.
pub(super) async fn document() -> Answer {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| whole().to_json().expect("a document of texts, numbers and lists of them"));
    ([(header::CONTENT_TYPE, JSON)], TEXT.as_str()).into_response()
}

fn whole() -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut schemas = BTreeMap::from([("Problem".to_owned(), Details::schema())]);
    for route in table() {
        let Some(told) = route.told.clone() else { continue };
        schemas.extend(told.schemas.clone());
        paths = paths.path(route.path, PathItem::new(method(&route.method), operation(&route, told)));
    }
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = ComponentsBuilder::new().schemas_from_iter(schemas);
    let components = components.security_scheme(BEARER, SecurityScheme::Http(scheme)).build();
    let info = InfoBuilder::new()
        .title("Gondola")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Electronic shelf label controller. Errors are RFC 9457 problem details."));
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}

fn operation(route: &Route, told: Told) -> Operation {
    let mut operation = OperationBuilder::new().summary(Some(told.summary));
    for name in names(route.path) {
        operation = operation.parameter(text_parameter(name, ParameterIn::Path, Required::True, pattern(name)));
    }
    for parameter in &told.query {
        operation = operation.parameter(parameter.clone());
    }
    if route.takes_key() {
        let key = text_parameter(KEY, ParameterIn::Header, Required::False, pattern(KEY));
        operation = operation.parameter(key);
    }
    for status in refusals(route, &told) {
        operation = operation.response(status.as_str(), refusal(status, told.plain == Some(status)));
    }
    if let Some((status, content_type, schema)) = told.answer {
        let reason = status.canonical_reason().unwrap_or_default();
        let answer = ResponseBuilder::new().description(reason);
        let answer = match schema {
            Some(schema) => answer.content(content_type, Content::new(Some(schema))),
            None => answer,
        };
        operation = operation.response(status.as_str(), answer.build());
    }
    let operation = operation.request_body(told.body);
    if route.need == Need::Nothing {
        return operation.build();
    }
    operation.security(SecurityRequirement::new::<_, _, String>(BEARER, [])).build()
}

/// What a route may answer instead of what was asked for.
fn refusals(route: &Route, told: &Told) -> BTreeSet<StatusCode> {
    // A token that is not known is refused even where none is needed.
    let mut all =
        BTreeSet::from([StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE]);
    if route.need != Need::Nothing {
        all.insert(StatusCode::FORBIDDEN);
    }
    let (is_named, is_write) = (route.path.contains('{'), !route.method.is_safe());
    if is_named {
        all.extend([StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND]);
    }
    if !told.query.is_empty() {
        all.insert(StatusCode::BAD_REQUEST);
    }
    if is_write {
        let of_writes = [StatusCode::CONFLICT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNPROCESSABLE_ENTITY];
        all.extend(of_writes.into_iter().chain([StatusCode::BAD_REQUEST]));
    }
    if is_write && route.method != Method::DELETE {
        all.insert(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    all.extend(told.refusal);
    all
}

fn refusal(status: StatusCode, is_plain: bool) -> Response {
    let answer = ResponseBuilder::new().description(status.canonical_reason().unwrap_or_default());
    if is_plain {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        return answer.content("text/plain", Content::new(Some(Schema::Object(text)))).build();
    }
    let problem: RefOr<Schema> = Ref::from_schema_name("Problem").into();
    answer.content("application/problem+json", Content::new(Some(problem))).build()
}

/// What a parameter looks like, where not anything may stand there.
fn pattern(name: &str) -> Option<&'static str> {
    match name {
        "store" => Some("^[a-z0-9-]{1,32}$"),
        "label" => Some("^([:-]*[0-9A-Fa-f]){16}[:-]*$"),
        "sku" => Some("^[!-~]{1,64}$"),
        "digest" => Some("^[0-9a-f]{32}$"),
        // Blanks behind a header's value are no part of it.
        KEY => Some("^[!-~]([ -~]{0,126}[!-~])?[ \t]*$"),
        _ => None,
    }
}

fn text_parameter(name: &str, place: ParameterIn, required: Required, pattern: Option<&str>) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(pattern).build();
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(Schema::Object(text))).build()
}

/// The names that stand in a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn method(method: &Method) -> HttpMethod {
    match method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}
