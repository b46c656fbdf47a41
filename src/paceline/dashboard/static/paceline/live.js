// What a server cannot do: moments in the viewer's own zone, and a word when the live part stands still.
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
  const stale = (isStale) => {
    document.getElementById("stale").hidden = !isStale;
  };

  localise();
  document.addEventListener("htmx:after:swap", localise);
  document.addEventListener("htmx:error", () => stale(true));
  document.addEventListener("htmx:response:error", () => stale(true));
  document.addEventListener("htmx:after:request", (event) => {
    if (event.detail.ctx.response.status < 400) stale(false);
  });
})();
