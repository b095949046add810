// Elements with few words. Text is always set as text, so that no name can be markup.

export function make(tag, fields = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(fields)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Only what is to be seen of a list is made anew: children keep their place and their focus.
export function fill(parent, count, create) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(create());
  return [...parent.children];
}
