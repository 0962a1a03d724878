// What is read out: the next call is one key away.
import { keys } from "../shell/shell.js";

const press = (selector) => () => document.querySelector(selector)?.click();

keys({
  n: [press("#next-call"), "接下一通", "next call"],
  o: [press(".taken a[href*=cases].button"), "打开案件", "open the case"],
});
document.getElementById("next-call")?.focus();
