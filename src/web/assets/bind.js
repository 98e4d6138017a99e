"use strict";
// Binding at the shelf. Scans come faster than answers, so they wait in line and are taken in one by one; what a code
// is, the server says.
(() => {
  const page = document.querySelector("section.bind");
  if (!page) return;
  const WAITING_MAX = 50; // what a scanner with a memory sends at once
  const UNDO_MAX = 50;
  const SHOWN_MAX = 20;
  const store = `/v1/stores/${page.dataset.shop}`;
  const chinese = document.documentElement.lang.startsWith("zh");
  const say = (english, other) => (chinese ? other : english);
  const [code, state, line, count, done] = ["code", "state", "label-line", "count", "done"].map((id) => document.getElementById(id));

  let label = null; // the one that was scanned last
  let wanted = null; // the product that waits for its second scan
  let replacing = false;
  let bound = 0;
  let busy = false;
  const waiting = [];
  const past = []; // how to take back what was done, newest last

  const beep = (high) => {
    try {
      const context = (beep.context ??= new AudioContext());
      const tone = context.createOscillator();
      tone.frequency.value = high ? 1320 : 220;
      tone.connect(context.destination);
      tone.start();
      tone.stop(context.currentTime + (high ? 0.08 : 0.35));
    } catch {} // a browser that was never touched is silent
    navigator.vibrate?.(high ? 40 : [120, 60, 120]);
  };

  const tell = (mood, text) => {
    state.dataset.mood = mood;
    state.textContent = text;
    if (mood !== "wait") beep(mood === "good");
  };

  const ask = async (method, path, body) => {
    const options = { method, cache: "no-store" };
    if (body) Object.assign(options, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const answer = await fetch(store + path, options);
    if (answer.status === 401) location.reload();
    const json = await answer.json();
    if (!answer.ok) throw new Error(json.detail);
    return json;
  };

  const named = (thing) => thing.name ?? thing.skus?.join(", ") ?? thing.sku;

  const place = ({ aisle, shelf, slot }) => {
    const part = (text, english, other) => text && say(`${english} ${text}`, `${text} ${other}`);
    return [part(aisle, "aisle", "通道"), part(shelf, "shelf", "层"), part(slot, "slot", "位")].filter(Boolean).join(", ");
  };

  const show = () => {
    line.hidden = !label;
    if (!label) return;
    const shows = label.skus.length ? say(`shows ${named(label)}`, `当前显示：${named(label)}`) : say("shows nothing", "未绑定");
    line.textContent = [label.label, place(label.position), shows].filter(Boolean).join(" · ");
  };

  const log = (text) => {
    const item = document.createElement("li");
    item.textContent = text;
    done.prepend(item);
    while (done.children.length > SHOWN_MAX) done.lastChild.remove();
  };

  const remember = (back) => {
    past.push(back);
    if (past.length > UNDO_MAX) past.shift();
  };

  const forget = () => {
    [label, wanted, replacing] = [null, null, false];
    show();
  };

  const restore = ({ label: id, skus }) =>
    skus.length ? ask("POST", `/labels/${id}/bind`, { skus, allow_unknown: true }) : ask("POST", `/labels/${id}/unbind`, {});

  const register = async (one) => {
    if (one.registered) return;
    const { results } = await ask("POST", "/labels", { items: [{ label: one.label, panel: one.panel }] });
    if (results[0].error) throw new Error(results[0].error);
  };

  const bind = async (product) => {
    const before = label;
    await register(before);
    await ask("POST", `/labels/${before.label}/bind`, { skus: [product.sku] });
    remember({ text: named(product), take: () => restore(before) });
    bound += 1;
    count.textContent = bound;
    log(`${before.label} → ${named(product)}`);
    forget();
    const price = product.price ? `${product.price} ${product.currency}` : say("no price yet", "暂无价格");
    tell("good", say(`Bound: ${named(product)}, ${price}. Scan the next label.`, `已绑定：${named(product)}，${price}。请扫描下一张价签。`));
  };

  const replace = async (one) => {
    const old = label;
    await ask("POST", `/labels/${old.label}/replace`, { with: one.label });
    remember({
      text: old.label,
      take: async () => {
        await restore(old);
        await ask("POST", `/labels/${one.label}/unbind`, {});
      },
    });
    log(`${old.label} ⇒ ${one.label}`);
    forget();
    tell("good", say("Replaced. Scan the next label.", "已更换。请扫描下一张价签。"));
  };

  const commands = {
    cancel: () => {
      forget();
      tell("wait", say("Scan a label.", "请扫描价签。"));
    },
    undo: async () => {
      const last = past.pop();
      if (!last) return tell("bad", say("There is nothing to undo.", "没有可撤销的操作。"));
      await last.take();
      forget();
      log(say(`undone: ${last.text}`, `已撤销：${last.text}`));
      tell("good", say(`Undone: ${last.text}. Scan a label.`, `已撤销：${last.text}。请扫描价签。`));
    },
    unbind: async () => {
      if (!label?.skus.length) return tell("bad", say("Scan a label that shows a product first.", "请先扫描已绑定商品的价签。"));
      const before = label;
      await ask("POST", `/labels/${before.label}/unbind`, {});
      remember({ text: named(before), take: () => restore(before) });
      log(say(`${before.label} unbound`, `${before.label} 已解绑`));
      forget();
      tell("good", say("Unbound. Scan the next label.", "已解绑。请扫描下一张价签。"));
    },
    replace: () => {
      if (!label?.skus.length) return tell("bad", say("Scan the label that is to be replaced first.", "请先扫描要更换的旧价签。"));
      replacing = true;
      tell("wait", say("Scan the new label.", "请扫描新价签。"));
    },
  };

  const takeLabel = async (one) => {
    if (replacing) return replace(one);
    [label, wanted] = [one, null];
    show();
    tell("wait", say("Scan the product.", "请扫描商品。"));
  };

  const takeProduct = async (product) => {
    if (!label) return tell("bad", say(`${named(product)}: scan a label first.`, `${named(product)}：请先扫描价签。`));
    if (replacing) return tell("bad", say("That is a product. Scan the new label.", "这是商品，请扫描新价签。"));
    if (label.skus.includes(product.sku) && label.skus.length === 1) {
      forget();
      return tell("good", say("It shows that already. Scan the next label.", "已显示该商品。请扫描下一张价签。"));
    }
    const confirmed = wanted === product.sku;
    wanted = product.sku;
    if (label.skus.length && !confirmed) {
      return tell("warn", say(`This label shows ${named(label)}. Scan ${named(product)} once more to change it, or another label.`,
        `该价签当前显示 ${named(label)}。再次扫描 ${named(product)} 以更改，或扫描其他价签。`));
    }
    if (!product.in_assortment && !confirmed) {
      return tell("warn", say(`This store does not sell ${named(product)}. Scan it once more to bind it all the same.`,
        `本店不销售 ${named(product)}。再次扫描以强制绑定。`));
    }
    return bind(product);
  };

  const take = async (text) => {
    const command = commands[text.replaceAll("*", "").toLowerCase()];
    if (command && text.startsWith("*")) return command();
    const found = await ask("GET", `/scan?code=${encodeURIComponent(text)}`);
    if (found.label && (found.products.length === 0 || !label)) return takeLabel(found.label);
    if (found.products.length > 1) {
      const skus = found.products.map((product) => product.sku).join(", ");
      return tell("bad", say(`Several products have this code: ${skus}. Type a SKU.`, `多个商品使用此条码：${skus}。请输入商品编号。`));
    }
    if (found.products.length === 1) return takeProduct(found.products[0]);
    tell("bad", say(`Nothing is known of ${text}. Scan again.`, `未找到 ${text}，请重新扫描。`));
  };

  const work = async () => {
    if (busy) return;
    busy = true;
    while (waiting.length) {
      try {
        await waiting.shift()();
      } catch (error) {
        // Nothing after a scan that failed may go to another label than was meant.
        waiting.length = 0;
        forget();
        tell("bad", `${error.message} ${say("Scan a label.", "请扫描价签。")}`);
      }
    }
    busy = false;
  };

  const enqueue = (job) => {
    if (waiting.length >= WAITING_MAX) {
      waiting.length = 0; // a scan that is left out would send the next to another label than was meant
      job = () => Promise.reject(new Error(say("Too fast.", "扫描过快。")));
    }
    waiting.push(job);
    work();
  };

  document.getElementById("scan").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = code.value.trim();
    code.value = "";
    if (text) enqueue(() => take(text));
  });
  for (const button of page.querySelectorAll("button[data-command]")) {
    button.addEventListener("click", () => {
      enqueue(() => commands[button.dataset.command]());
      code.focus();
    });
  }
  // A scanner types into whatever has the focus.
  document.addEventListener("keydown", (event) => {
    const typing = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (typing && document.activeElement !== code && event.key !== " ") code.focus();
  });
  code.focus();
})();
