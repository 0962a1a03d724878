// What is read out: the next call is one key away.
import { keys } from "../shell/shell.js";

keys({
  n: [() => document.getElementById("next-call")?.click(), "接下一通", "next call"],
  o: [() => document.querySelector(".taken a.button:not(#next-call)")?.click(), "打开案件", "open the case"],
});
document.getElementById("next-call")?.focus();
