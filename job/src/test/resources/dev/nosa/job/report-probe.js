// Runs at the end of a report's page and leaves in its place what a reader sees, as JSON. This is percent-encoded, since
// the dump of a page escapes text.
const overlap = (a, b) => // glyphs are smaller than the boxes of their lines
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
const visible = mark => {
  const {width, height} = mark.getBoundingClientRect();
  return width > 0 || height > 0;
};
const charts = [...document.querySelectorAll('svg')].map(svg => {
  const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
  return {
    id: svg.id,
    marks: [...svg.querySelectorAll('.mark')].filter(visible).length,
    overlaps: texts.flatMap(([name, box], i) =>
        texts.slice(i + 1).filter(([, other]) => overlap(box, other)).map(([other]) => `${name} / ${other}`))
  };
});
const seen = {
  charts,
  status: document.querySelector('h1').textContent,
  headings: [...document.querySelectorAll('h2')].map(heading => heading.textContent),
  text: document.getElementById('page').textContent,
  background: getComputedStyle(document.body).backgroundColor,
  width: innerWidth,
  scripts: document.scripts.length,
  loaded: performance.getEntriesByType('resource').length,
  beyond: document.documentElement.scrollWidth - document.documentElement.clientWidth
};
const probed = document.createElement('pre');
probed.id = 'probed';
probed.textContent = encodeURIComponent(JSON.stringify(seen));
document.body.replaceChildren(probed);
console.log('probed');
