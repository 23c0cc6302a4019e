// What a wallet's in-app browser gives a page: its JavaScript bridge and its payment sheet.
// Put into every page by the simulator's proxy; it styles only by bridge.css and never inline.
(function () {
  "use strict";

  const wallet = document.currentScript.dataset.wallet;
  const wechat = wallet === "wechatpay";
  const names = { wechatpay: "微信", alipay: "支付宝", unionpay: "云闪付" };
  let busy = false;

  function element(tag, className, text) {
    const node = document.createElement(tag);
    node.className = className;
    if (text) node.textContent = text;
    return node;
  }

  function button(testid, className, text) {
    const node = element("button", className, text);
    node.type = "button";
    node.dataset.testid = testid;
    return node;
  }

  async function ask(step, params) {
    try {
      const response = await fetch("/__wallet__/" + step, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(params),
        credentials: "same-origin",
      });
      return await response.json();
    } catch {
      return { ok: false, message: "网络不可用 No connection" };
    }
  }

  // Opens the sheet and calls done("ok" | "cancel" | "fail", message) once.
  async function pay(params, done) {
    if (busy) {
      done("fail", "busy");
      return;
    }
    busy = true;
    const veil = element("div", "simw-veil simw-" + wallet);
    const sheet = element("div", "simw-sheet");
    sheet.setAttribute("role", "dialog");
    sheet.setAttribute("aria-modal", "true");
    sheet.setAttribute("aria-label", wechat ? "微信支付" : names[wallet]);
    sheet.dataset.testid = "wallet-sheet";
    veil.append(sheet);
    document.body.append(veil);

    function finish(result, message) {
      document.removeEventListener("keydown", onKey);
      veil.remove();
      busy = false;
      done(result, message);
    }
    function onKey(event) {
      if (event.key === "Escape" && sheet.dataset.step === "confirm") finish("cancel", "");
    }
    function show(step, ...nodes) {
      sheet.dataset.step = step;
      sheet.replaceChildren(element("p", "simw-stripe", "SIMULATOR 模拟器"), ...nodes);
    }
    function fail(message) {
      const text = element("p", "simw-error", message);
      text.setAttribute("role", "alert");
      text.dataset.testid = "wallet-error";
      const close = button("close", "simw-secondary", "关闭 Close");
      close.addEventListener("click", () => finish("fail", message));
      show("error", text, close);
      close.focus();
    }

    document.addEventListener("keydown", onKey);
    show("wait", element("p", "simw-note", "请稍候 One moment…"));
    const facts = await ask("prepare", params);
    if (!facts.ok) {
      fail(facts.message);
      return;
    }

    const amount = element("p", "simw-amount", "¥" + facts.amount);
    amount.dataset.testid = "amount";
    const shop = element("p", "simw-shop", facts.shop);
    shop.dataset.testid = "shop";
    const confirm = button("pay", "simw-primary", "确认支付");
    const cancel = button("cancel", "simw-secondary", "取消");
    cancel.addEventListener("click", () => finish("cancel", ""));
    confirm.addEventListener("click", async () => {
      confirm.disabled = true;
      cancel.disabled = true;
      confirm.textContent = "支付中…";
      const answer = await ask("pay", params);
      if (!answer.ok) {
        fail(answer.message);
        return;
      }
      const mark = element("p", "simw-done", "✓ 支付成功");
      mark.setAttribute("role", "status");
      const end = button("done", "simw-secondary", "完成 Done");
      let ended = false;
      const once = () => {
        if (ended) return;
        ended = true;
        finish("ok", "");
      };
      end.addEventListener("click", once);
      show("done", mark, element("p", "simw-amount", "¥" + facts.amount), end);
      window.setTimeout(once, 1500);
    });
    show(
      "confirm",
      shop,
      amount,
      element("p", "simw-note", facts.description),
      element("p", "simw-note", "付款人 Payer: " + facts.payer),
      confirm,
      cancel
    );
    confirm.focus();
  }

  function weixinBridge() {
    return {
      invoke(name, params, callback) {
        const answer = callback || function () {};
        if (name !== "getBrandWCPayRequest") {
          answer({ err_msg: name + ":fail" });
          return;
        }
        pay(params, (result, message) => {
          const told = { err_msg: "get_brand_wcpay_request:" + result };
          if (message) told.err_desc = message;
          answer(told);
        });
      },
      call() {},
      on() {},
    };
  }

  function alipayBridge() {
    const codes = { ok: "9000", cancel: "6001", fail: "4000" };
    return {
      call(name, params, callback) {
        const answer = typeof params === "function" ? params : callback || function () {};
        if (name !== "tradePay") {
          answer({ error: 1, errorMessage: "not implemented" });
          return;
        }
        pay(params, (result, message) => answer({ resultCode: codes[result], memo: message }));
      },
    };
  }

  // Like the real wallets: the bridge comes into being late and announces itself by an event.
  document.addEventListener("DOMContentLoaded", () => {
    const bar = element("div", "simw-bar simw-" + wallet);
    const back = element("a", "simw-back", "‹ 返回钱包");
    back.href = "/__wallet__/home";
    back.dataset.testid = "wallet-home";
    bar.append(back, element("span", "simw-name", names[wallet] + " · 模拟器 SIMULATOR"));
    document.body.prepend(bar);
    // 云闪付 gives a page no bridge that the portal could use: it is paid by a form or by scanning.
    if (wallet === "unionpay") return;
    if (wechat) window.WeixinJSBridge = weixinBridge();
    else window.AlipayJSBridge = alipayBridge();
    document.dispatchEvent(new Event(wechat ? "WeixinJSBridgeReady" : "AlipayJSBridgeReady"));
  });
})();
