// Puts the theme that was chosen here before on the page, before anything is painted.
try {
  var chosen = localStorage.getItem("foretoken.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch (error) {
  // Storage is switched off: the system's theme it is.
}
