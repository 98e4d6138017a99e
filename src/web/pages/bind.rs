//! Binding at the shelf: scan a label, scan its product, go on. The page is for a handheld scanner that types like a
//! keyboard, and for a phone; everything can be done without touching it.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::PageProblem;
use super::layout::Frame;
use crate::web::Web;

/// The page.
pub(super) async fn page(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let shop = web.shop(&store)?;
    let title = frame.say("Bind labels", "绑定价签");
    let content = html! {
        section.bind data-shop=(shop.handle.id()) {
            p.path { a href={ "/stores/" (shop.handle.id()) } { (shop.name) } }
            h1 { (title) }
            p #state role="status" aria-live="assertive" data-mood="wait" { (frame.say("Scan a label.", "请扫描价签。")) }
            p #label-line hidden {}
            form #scan autocomplete="off" {
                label { span { (frame.say("Label or product: scan, or type and press Enter", "价签或商品：扫描，或输入后按回车")) }
                    input #code name="code" autofocus autocapitalize="none" spellcheck="false" enterkeyhint="go" maxlength="64"; }
            }
            div.row {
                button type="button" data-command="undo" { (frame.say("Undo", "撤销")) }
                button type="button" data-command="unbind" { (frame.say("Unbind", "解绑")) }
                button type="button" data-command="replace" { (frame.say("Replace", "更换")) }
                button type="button" data-command="cancel" { (frame.say("Cancel", "取消")) }
            }
            p { strong #count { "0" } " " (frame.say("bound since this page was opened", "张价签已绑定")) }
            ul #done {}
            details {
                summary { (frame.say("Without touching the screen", "无需触屏操作")) }
                p { (frame.say("Print these words as bar codes and scan them in place of the buttons:", "将以下文字打印成条码，扫描即可代替按钮："))
                    @for word in ["*UNDO*", "*UNBIND*", "*REPLACE*", "*CANCEL*"] { " " code { (word) } } }
                p { (frame.say("A label that shows another product asks: scan the product once more to change it. To replace a device, scan the old label, Replace, and the new one.", "若价签已显示其他商品，再次扫描新商品即可确认更改。更换设备：先扫描旧价签，点击“更换”，再扫描新价签。")) }
            }
        }
        script src="/assets/bind.js" defer {}
    };
    Ok(frame.page(&format!("{title} · {}", shop.name), None, &content))
}
