//! A draft on a label: it begins, and ends in each of its ways.

use gondola_protocol::Panel;
use jiff::tz::TimeZone;

use super::*;
use crate::alert::rules::AlertRules;
use crate::catalog::guard::GuardRules;
use crate::catalog::settings::{Market, Settings};
use crate::controller::StoreSettings;
use crate::controller::message::{Input, LabelRequest, Output, Request, UnknownSkus};
use crate::template::view::StoreView;

const START: Moment = Moment::from_secs(1_795_147_200);

const DRAFT: &str = "<template name=\"no-price\"><text size=\"20\">DRAFT</text></template>";

fn at(minute: u64) -> Moment {
    START + Duration::from_mins(minute)
}

/// A store with bound labels, whose products nobody has told of.
fn controller(labels: u64) -> Controller {
    let text = str::to_owned;
    let view = StoreView { id: text("hz-001"), name: text("店"), format: text("community"), market: text("CN") };
    let time_zone = TimeZone::get("Asia/Shanghai").unwrap();
    let currency = "CNY".parse().unwrap();
    let catalog = Settings { currency, market: Market::China, time_zone, guard: GuardRules::default() };
    let settings = StoreSettings { view, catalog, stations: Vec::new(), alerts: AlertRules::default() };
    let mut controller = Controller::new(settings, Arc::new(Templates::embedded()), START);
    controller.resume(START, None, None);
    for label in (1..=labels).map(LabelId) {
        let panel: Panel = "bwr-296x128".parse().unwrap();
        ask(&mut controller, 0, LabelRequest::Register { label, panel, position: Default::default() }).unwrap();
        bind(&mut controller, 0, label);
    }
    controller
}

fn ask(controller: &mut Controller, minute: u64, request: impl Into<Request>) -> Result<(), Refusal> {
    controller.handle(at(minute), Input::Request { ticket: 0, request: request.into() });
    // The journal keeps up.
    let batches = controller.appended;
    controller.handle(at(minute), Input::Synced { batches, head: None });
    let outputs: Vec<Output> = std::iter::from_fn(|| controller.poll_output()).collect();
    let refusal = outputs.into_iter().find_map(|output| match output {
        Output::Reply(_, Err(refusal)) => Some(refusal),
        _ => None,
    });
    refusal.map_or(Ok(()), Err)
}

fn bind(controller: &mut Controller, minute: u64, label: LabelId) {
    let skus = vec!["1101".parse().unwrap()];
    ask(controller, minute, LabelRequest::Bind { label, skus, template: None, unknown: UnknownSkus::Allow }).unwrap();
}

fn draft(text: &str) -> Option<Draft> {
    let templates = Templates::embedded().with_texts([("no-price", text)]).unwrap();
    Some(Draft { template: "no-price".to_owned(), templates: Arc::new(templates) })
}

/// Time goes on, and the journal keeps up.
fn turn(controller: &mut Controller, now: Moment) {
    controller.handle_timeout(now);
    let batches = controller.appended;
    controller.handle(now, Input::Synced { batches, head: None });
}

fn begin(controller: &mut Controller, minute: u64, label: u64) -> Result<(), Refusal> {
    ask(controller, minute, Request::Try { label: LabelId(label), draft: draft(DRAFT) })
}

/// What the label should show.
fn wanted(controller: &Controller, label: u64) -> crate::template::RenderKey {
    controller.fleet().label(LabelId(label)).unwrap().desired.as_ref().unwrap().content.key
}

#[test]
fn a_trial_ends_after_its_time_with_a_binding_and_when_somebody_says_so() {
    let mut controller = controller(2);
    let before = wanted(&controller, 1);
    begin(&mut controller, 1, 1).unwrap();
    assert_ne!(wanted(&controller, 1), before);
    assert_eq!((wanted(&controller, 2), controller.trials().all().count()), (before, 1), "one label alone");
    assert!(controller.poll_timeout().unwrap() <= at(31));
    turn(&mut controller, at(30));
    assert_ne!(wanted(&controller, 1), before);
    turn(&mut controller, at(31));
    assert_eq!((wanted(&controller, 1), controller.trials().all().count()), (before, 0));

    begin(&mut controller, 32, 1).unwrap();
    bind(&mut controller, 33, LabelId(1));
    assert_eq!((wanted(&controller, 1), controller.trials().of(LabelId(1))), (before, None));

    begin(&mut controller, 34, 1).unwrap();
    ask(&mut controller, 35, Request::Try { label: LabelId(1), draft: None }).unwrap();
    assert_eq!(wanted(&controller, 1), before);

    begin(&mut controller, 36, 1).unwrap();
    turn(&mut controller, at(2));
    assert_eq!(wanted(&controller, 1), before, "the clock was set back: nobody knows when it would end");
}

#[test]
fn changed_templates_are_on_every_label_and_end_the_trials_of_what_holds_now() {
    let mut controller = controller(3);
    let before = wanted(&controller, 3);
    begin(&mut controller, 1, 1).unwrap();
    let other = DRAFT.replace("DRAFT", "OTHER");
    ask(&mut controller, 1, Request::Try { label: LabelId(2), draft: draft(&other) }).unwrap();
    let (tried, edition) = (wanted(&controller, 1), controller.fleet().label(LabelId(1)).unwrap().edition_last);
    controller.handle(at(2), Input::Templates(draft(DRAFT).unwrap().templates));
    assert_eq!((wanted(&controller, 1), wanted(&controller, 3)), (tried, tried));
    assert_eq!(controller.fleet().label(LabelId(1)).unwrap().edition_last, edition, "nothing is sent again");
    assert!(controller.trials().of(LabelId(1)).is_none() && controller.trials().of(LabelId(2)).is_some());
    assert_ne!(wanted(&controller, 2), tried);
    controller.handle(at(3), Input::Templates(Arc::new(Templates::embedded())));
    assert_eq!(wanted(&controller, 3), before);
}

#[test]
fn drafts_that_no_label_can_show_are_refused_and_there_are_not_many() {
    let most = u64::try_from(TRIALS_MAX).unwrap();
    let mut controller = controller(most + 1);
    assert_eq!(begin(&mut controller, 1, 99), Err(Refusal::UnknownLabel(LabelId(99))));
    for label in 1..=most {
        begin(&mut controller, 1, label).unwrap();
    }
    assert_eq!(begin(&mut controller, 1, most + 1), Err(Refusal::TooManyTrials));
    begin(&mut controller, 2, 1).unwrap();
    ask(&mut controller, 3, LabelRequest::Unbind { label: LabelId(1) }).unwrap();
    assert_eq!(begin(&mut controller, 4, 1), Err(Refusal::NotBound(LabelId(1))));
    let small = "<template name=\"no-price\" panels=\"bw-212x104\"/>";
    let refused = ask(&mut controller, 5, Request::Try { label: LabelId(2), draft: draft(small) }).unwrap_err();
    assert!(refused.to_string().contains("is not made for panel bwr-296x128"), "{refused}");
}
