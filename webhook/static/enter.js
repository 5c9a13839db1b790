"use strict";
// A link is /enter#TOKEN: what stands behind # never reaches a server's log. It is posted, and leaves the address bar.
const token = location.hash.slice(1);
if (token) {
  history.replaceState(null, "", location.pathname);
  document.getElementById("entering").hidden = false;
  const form = document.getElementById("enter");
  form.elements.token.value = token;
  form.submit();
}
