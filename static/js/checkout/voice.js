/* Calls out what comes in. [data-calls] holds the calls, each li[data-call=id][data-say][data-minor]; data-url fetches them
   anew, data-voice is their language, data-memory whose they are, data-several the sentence for many at once.
   [data-sound] switches sound on and off: browsers ask for a tap first, and the choice is remembered.
   Each id is said once in this browser, also with two tabs open; after a lost connection many become one sentence.
   Events on document: "desk:listen" asks for the calls anew, "desk:called" tells that they came. */
(function () {
  "use strict";
  var list = document.querySelector("[data-calls]");
  var button = document.querySelector("[data-sound]");
  if (!list) return;
  var SOUND = "desk-sound";
  var KEPT = 300;
  var memory = "desk-called/" + list.dataset.memory;
  var audio = null;
  var asking = false;
  var again = false;

  function read(key) {
    try {
      return window.localStorage.getItem(key);
    } catch (_error) {
      return null;
    }
  }
  function write(key, value) {
    try {
      window.localStorage.setItem(key, value);
    } catch (_error) {
      /* A browser that keeps nothing still calls out what comes while the page is open. */
      forgotten[key] = value;
    }
  }
  var forgotten = {};

  function isOn() {
    return (read(SOUND) || forgotten[SOUND]) === "1";
  }

  function said() {
    try {
      return JSON.parse(read(memory) || forgotten[memory] || "null");
    } catch (_error) {
      return null;
    }
  }

  /* Two notes, where no voice speaks the page's language. */
  function chime() {
    var Context = window.AudioContext || window.webkitAudioContext;
    if (!Context) return;
    audio = audio || new Context();
    audio.resume();
    [880, 1318.5].forEach(function (pitch, place) {
      var at = audio.currentTime + place * 0.18;
      var tone = audio.createOscillator();
      var loud = audio.createGain();
      tone.frequency.value = pitch;
      loud.gain.setValueAtTime(0.0001, at);
      loud.gain.exponentialRampToValueAtTime(0.4, at + 0.02);
      loud.gain.exponentialRampToValueAtTime(0.0001, at + 0.5);
      tone.connect(loud).connect(audio.destination);
      tone.start(at);
      tone.stop(at + 0.55);
    });
    list.dataset.chimes = String(Number(list.dataset.chimes || 0) + 1);
  }

  function voiceFor(language) {
    var wanted = language.slice(0, 2);
    var fitting = window.speechSynthesis.getVoices().filter(function (voice) {
      return voice.lang.replace("_", "-").slice(0, 2).toLowerCase() === wanted;
    });
    return (
      fitting.find(function (voice) {
        return voice.lang.replace("_", "-") === language;
      }) || fitting[0]
    );
  }

  function say(text) {
    if (!window.speechSynthesis || !window.SpeechSynthesisUtterance) return chime();
    var voice = voiceFor(list.dataset.voice);
    if (!voice) return chime();
    var words = new window.SpeechSynthesisUtterance(text);
    words.lang = list.dataset.voice;
    words.voice = voice;
    words.onerror = function (event) {
      if (event.error !== "canceled" && event.error !== "interrupted") chime();
    };
    window.speechSynthesis.speak(words);
  }

  function yuan(minor) {
    var fen = minor % 100;
    return (minor - fen) / 100 + "." + (fen < 10 ? "0" : "") + fen;
  }

  function announce() {
    var known = said();
    var calls = Array.prototype.slice.call(list.querySelectorAll("[data-call]"));
    /* What was there before anybody wanted to hear it is old. */
    var fresh = known
      ? calls.filter(function (call) {
          return known.indexOf(call.dataset.call) < 0;
        })
      : [];
    if (known && !fresh.length) return;
    var ids = (known || []).concat(
      (known ? fresh : calls).map(function (call) {
        return call.dataset.call;
      })
    );
    write(memory, JSON.stringify(ids.slice(-KEPT)));
    if (!isOn() || !fresh.length) return;
    if (fresh.length <= 2) {
      fresh.forEach(function (call) {
        say(call.dataset.say);
      });
      return;
    }
    var sum = fresh.reduce(function (total, call) {
      return total + Number(call.dataset.minor);
    }, 0);
    say(list.dataset.several.replace("{n}", String(fresh.length)).replace("{sum}", yuan(sum)));
  }

  /* One tab at a time looks at what was said and writes it down. */
  function call() {
    if (navigator.locks) navigator.locks.request("desk-call", announce);
    else announce();
  }

  function listen() {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    fetch(list.dataset.url, { headers: { "HX-Request": "true" }, redirect: "error" })
      .then(function (response) {
        if (!response.ok) throw new Error(String(response.status));
        return response.text();
      })
      .then(function (html) {
        list.innerHTML = html;
        call();
        document.dispatchEvent(new CustomEvent("desk:called", { detail: true }));
      })
      .catch(function () {
        document.dispatchEvent(new CustomEvent("desk:called", { detail: false }));
      })
      .then(function () {
        asking = false;
        if (again) {
          again = false;
          listen();
        }
      });
  }

  function show() {
    if (!button) return;
    var on = isOn();
    button.hidden = false;
    button.setAttribute("aria-pressed", String(on));
    button.querySelector("[data-sound-word]").textContent = on ? button.dataset.on : button.dataset.off;
  }

  if (button)
    button.addEventListener("click", function () {
      write(SOUND, isOn() ? "0" : "1");
      show();
      if (isOn()) say(button.dataset.hello);
      else if (window.speechSynthesis) window.speechSynthesis.cancel();
    });
  window.addEventListener("storage", function (event) {
    if (event.key === SOUND) show();
  });
  /* A sound that begins by itself needs a tap on the page before: each tap readies it. */
  document.addEventListener("pointerdown", function () {
    if (isOn() && audio) audio.resume();
  });
  document.addEventListener("desk:listen", listen);
  /* At the till the payment's own page changes by live.js: then something may have come in. */
  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.target.id === "charge") listen();
  });

  /* Browsers load their voices late. */
  if (window.speechSynthesis) window.speechSynthesis.getVoices();
  show();
  call();
})();
