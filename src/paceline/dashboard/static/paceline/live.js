// What a server cannot do: moments in the viewer's own zone, a word when the live part stands still, and in the inbox
// that a text is read when somebody looks, and that a reply leaves by Ctrl and Enter, once.
(() => {
  const formats = {
    clock: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }),
    full: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
  };
  const localise = () => {
    for (const time of document.querySelectorAll("time[data-style]")) {
      time.textContent = formats[time.dataset.style].format(new Date(time.dateTime));
    }
  };
  let read; // the last text that we have said is read: not twice
  const follow = () => {
    localise();
    for (const zone of document.querySelectorAll("[data-zone]")) {
      zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
    }
    const thread = document.querySelector(".live-thread");
    if (!thread) return;
    for (const send of document.querySelectorAll("[data-send]")) send.disabled = "obstacle" in thread.dataset;
    const seen = document.getElementById("read-seen")?.value;
    if (document.visibilityState !== "visible" || !seen || seen === read) return;
    read = seen;
    document.getElementById("read").requestSubmit();
  };
  const stale = (isStale) => {
    document.getElementById("stale").hidden = !isStale;
  };

  localise();
  document.addEventListener("htmx:after:swap", follow);
  document.addEventListener("htmx:error", () => stale(true));
  document.addEventListener("htmx:response:error", () => stale(true));
  document.addEventListener("htmx:after:request", (event) => {
    if (event.detail.ctx.response.status < 400) stale(false);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.target.id !== "text") return;
    event.preventDefault();
    event.target.form.requestSubmit(document.getElementById("send"));
  });
  document.addEventListener("submit", (event) => {
    if (event.target.hasAttribute("hx-post")) return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
})();
