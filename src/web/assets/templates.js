"use strict";
// Edits a template: what is typed is drawn and checked by the server, a moment after the last key.
(() => {
  const page = document.querySelector("section.template");
  if (!page) return;
  const TYPED_MS = 350; // after the last key
  const { template, shop } = page.dataset;
  const chinese = document.documentElement.lang.startsWith("zh");
  const say = (english, other) => (chinese ? other : english);
  const [text, product, verdict, problems, save, revert] =
    ["text", "product", "verdict", "problems", "save", "revert"].map((id) => document.getElementById(id));
  const here = `/v1/stores/${shop}/templates/${template}`;
  let saved = text.value;

  const ask = async (method, path, body) => {
    const options = { method, cache: "no-store" };
    if (body) Object.assign(options, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const answer = await fetch(path, options);
    if (answer.status === 401) location.reload();
    if (!answer.ok) throw new Error((await answer.json()).detail);
    return answer;
  };

  const tell = (mood, words) => ([verdict.dataset.mood, verdict.textContent] = [mood, words]);

  const list = (lines) =>
    problems.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));

  // Pictures are drawn onto a canvas of the same size, so that nothing moves.
  const show = async (figure, answer) => {
    const bitmap = await createImageBitmap(await answer.blob());
    const old = figure.querySelector("img, canvas");
    const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height, className: old.className });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${template}, ${figure.dataset.panel}`);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    old.replaceWith(canvas);
  };

  const draw = (source, chosen) => {
    const figures = [...page.querySelectorAll("[data-panel]")];
    return Promise.all(figures.map(async (figure) => {
      const panel = figure.dataset.panel;
      const body = { text: source, panel, ...Object.fromEntries(new URLSearchParams(chosen)) };
      const answer = save
        ? await ask("POST", `${here}/preview.png`, body)
        : await ask("GET", `${here}/preview.png?panel=${panel}&${chosen}`);
      await show(figure, answer);
      figure.dataset.drawn = "yes";
    }));
  };

  const check = async (source) => {
    const { errors, findings, pictures } = await (await ask("POST", `${here}/check`, { text: source })).json();
    page.dataset.state = errors.length ? "broken" : "fine";
    if (errors.length) {
      tell("bad", say("It cannot be used like this:", "无法使用："));
      list(errors.map(({ line, column, text }) => say(`Line ${line}, column ${column}: ${text}`, `第 ${line} 行第 ${column} 列：${text}`)));
    } else if (findings.length) {
      tell("warn", say(`It works. To look at, in ${pictures} pictures:`, `可以使用。${pictures} 个画面中需注意：`));
      list(findings.map(({ finding, count, examples }) => `${finding} (${count} ×, ${examples[0] || template})`));
    } else {
      tell("good", say(`It works, and nothing is wrong in ${pictures} pictures.`, `可以使用，${pictures} 个画面均无问题。`));
      list([]);
    }
    return errors.length === 0;
  };

  // One look at a time, and the newest text next: a slow answer never comes after a newer one.
  let busy = false;
  let again = false;
  const look = async () => {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      const source = text.value;
      try {
        if (!save || (await check(source))) await draw(source, product.value);
      } catch (error) {
        if (save) tell("bad", error.message);
      }
      if (save) {
        save.disabled = source === saved || page.dataset.state !== "fine";
        revert.disabled = text.value === saved;
      }
    }
    busy = false;
  };

  let timer;
  text.addEventListener("input", () => {
    if (save) save.disabled = true;
    clearTimeout(timer);
    timer = setTimeout(look, TYPED_MS);
  });
  product.addEventListener("change", look);
  if (!save) return;

  addEventListener("beforeunload", (event) => text.value !== saved && event.preventDefault());

  const leave = () => {
    saved = text.value;
    location.reload();
  };

  save.addEventListener("click", async () => {
    save.disabled = true;
    try {
      await ask("PUT", `/v1/templates/${template}`, { text: text.value, version: Number(page.dataset.version) });
      leave();
    } catch (error) {
      tell("bad", error.message);
    }
  });

  revert.addEventListener("click", () => {
    text.value = saved;
    look();
  });

  const form = document.getElementById("try");
  const state = document.getElementById("try-state");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const label = form.elements.label.value.trim();
    try {
      const answer = await (await ask("POST", `/v1/stores/${shop}/labels/${encodeURIComponent(label)}/trial`, { template, text: text.value })).json();
      const link = Object.assign(document.createElement("a"), { href: `/stores/${shop}/labels/${answer.label}`, target: "_blank", textContent: answer.label });
      state.replaceChildren(link, say(" shows it as soon as it wakes, for half an hour.", " 唤醒后即显示，持续半小时。"));
      state.dataset.mood = "good";
    } catch (error) {
      [state.textContent, state.dataset.mood] = [error.message, "bad"];
    }
  });

  page.addEventListener("click", async ({ target }) => {
    const { look: shown, back, end } = target.dataset;
    try {
      if (shown !== undefined) {
        text.value = (await (await ask("GET", `/v1/templates/${template}/versions/${shown}`)).json()).text;
        text.scrollIntoView({ block: "nearest" });
        look();
      } else if (back !== undefined) {
        await ask("POST", `/v1/templates/${template}/rollback`, { to: Number(back) });
        leave();
      } else if (end !== undefined) {
        await ask("DELETE", `/v1/stores/${shop}/labels/${end}/trial`);
        target.closest("li").remove();
      }
    } catch (error) {
      tell("bad", error.message);
      verdict.scrollIntoView({ block: "nearest" });
    }
  });
  look();
})();
