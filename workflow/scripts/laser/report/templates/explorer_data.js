"use strict";
parent.postMessage(document.getElementById("data").textContent, "*");
