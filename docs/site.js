// Plays a recording: its lines come one after the other. Without scripts it is all there at once.
for (const figure of document.querySelectorAll(".recording")) {
  const screen = figure.querySelector("pre"), lines = screen.innerHTML.split("\n"), button = document.createElement("button")
  let timer
  const upTo = count => {
    screen.innerHTML = lines.slice(0, count).join("\n")
    screen.scrollTop = screen.scrollHeight
    button.textContent = count < lines.length ? "Show all" : "Play"
    if (count < lines.length) timer = setTimeout(upTo, /^(<b>|▶)/.test(lines[count - 1]) ? 900 : 70, count + 1)
    else timer = undefined
  }
  button.onclick = () => {
    screen.style.height = `${screen.offsetHeight}px`  // what stands below stays where it is
    const isPlaying = timer !== undefined
    clearTimeout(timer)
    upTo(isPlaying ? lines.length : 1)
  }
  button.textContent = "Play"
  figure.append(button)
}
