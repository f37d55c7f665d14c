// Whether something is being pressed: what a person presses must not be replaced under the pointer,
// for then there would be no click.

const CLICK = 50; // milliseconds; the click itself comes after pointerup
const handlers = [];
let isDown = false;

export const isPressing = () => isDown;
export const onRelease = (handler) => { handlers.push(handler); };

function release() {
  isDown = false;
  for (const handler of handlers) handler();
}

document.addEventListener("pointerdown", () => { isDown = true; });
// where the end was not told: not every browser does after a drag of a scrollbar
document.addEventListener("pointermove", (event) => { if (isDown && !event.buttons) release(); });
for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => setTimeout(release, CLICK));
}
