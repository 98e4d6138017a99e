//! `/openapi.json`: what the interface takes and gives, made from the same table as the router, so that neither can have
//! a route that the other lacks.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response as Answer};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr, Required,
    ResponseBuilder,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::problem::Details;
use super::routes::{Need, Route, table};

const JSON: &str = "application/json";

/// What the document calls the way in.
const BEARER: &str = "token";

/// What a route tells of itself, beside its method and path.
#[derive(Clone, Default)]
pub(super) struct Told {
    summary: &'static str,
    query: Vec<Parameter>,
    body: Option<RequestBody>,
    answer: Option<(StatusCode, &'static str, Option<RefOr<Schema>>)>,
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

    /// Its JSON body.
    pub(super) fn takes<B: ToSchema>(mut self) -> Self {
        let schema = self.named::<B>();
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, Content::new(Some(schema)));
        self.body = Some(body.build());
        self
    }

    /// Its JSON answer.
    pub(super) fn gives<A: ToSchema>(mut self, status: StatusCode) -> Self {
        let schema = self.named::<A>();
        self.answer = Some((status, JSON, Some(schema)));
        self
    }

    /// Its answer in another form.
    pub(super) fn gives_other(mut self, content_type: &'static str) -> Self {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        self.answer = Some((StatusCode::OK, content_type, Some(Schema::Object(text).into())));
        self
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
        operation = operation.parameter(text_parameter(name, ParameterIn::Path, Required::True));
    }
    for parameter in told.query {
        operation = operation.parameter(parameter);
    }
    if !route.method.is_safe() {
        operation = operation.parameter(text_parameter("Idempotency-Key", ParameterIn::Header, Required::False));
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
    let problem: RefOr<Schema> = Ref::from_schema_name("Problem").into();
    let problem = Content::new(Some(problem));
    let problem = ResponseBuilder::new()
        .description("What was wrong, and what to do")
        .content("application/problem+json", problem);
    let operation = operation.request_body(told.body).response("default", problem.build());
    if route.need == Need::Nothing {
        return operation.build();
    }
    operation.security(SecurityRequirement::new::<_, _, String>(BEARER, [])).build()
}

fn text_parameter(name: &str, place: ParameterIn, required: Required) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
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
