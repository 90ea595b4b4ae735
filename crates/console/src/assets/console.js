"use strict";
// Asks for passkeys, and tells an open page that something has changed. Everything else works without a script.
// What it says stands in the page: data-not-used and data-unusable of a form, data-changed of the line #live.
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const get = async (options) => {
    options.challenge = bytes(options.challenge);
    options.allowCredentials = options.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) }));
    const given = await navigator.credentials.get({ publicKey: options });
    const { authenticatorData, clientDataJSON, signature, userHandle } = given.response;
    return {
      id: given.id,
      rawId: text(given.rawId),
      type: given.type,
      extensions: {},
      response: {
        authenticatorData: text(authenticatorData),
        clientDataJSON: text(clientDataJSON),
        signature: text(signature),
        userHandle: userHandle ? text(userHandle) : null,
      },
    };
  };

  const create = async (options) => {
    options.challenge = bytes(options.challenge);
    options.user.id = bytes(options.user.id);
    options.excludeCredentials = (options.excludeCredentials || []).map((one) => ({ ...one, id: bytes(one.id) }));
    const made = await navigator.credentials.create({ publicKey: options });
    const { attestationObject, clientDataJSON } = made.response;
    return {
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      extensions: {},
      response: { attestationObject: text(attestationObject), clientDataJSON: text(clientDataJSON) },
    };
  };

  for (const form of document.querySelectorAll("form.passkey")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      const trouble = form.querySelector(".passkey-trouble");
      button.disabled = true;
      trouble.hidden = true;
      try {
        const options = JSON.parse(form.dataset.options);
        const answer = await (form.dataset.kind === "create" ? create(options) : get(options));
        form.elements.answer.value = JSON.stringify(answer);
        form.submit();
      } catch (error) {
        button.disabled = false;
        trouble.textContent =
          error.name === "NotAllowedError"
            ? form.dataset.notUsed
            : form.dataset.unusable.replace("{error}", error.name);
        trouble.hidden = false;
        button.focus();
      }
    });
  }

  if (document.body.hasAttribute("data-live") && window.EventSource) {
    const say = document.getElementById("live");
    const events = new EventSource("/events");
    events.addEventListener("changed", () => {
      if (say.firstChild) return;
      const link = document.createElement("a");
      link.href = location.href;
      link.textContent = say.dataset.changed;
      say.append(link);
    });
  }
})();
