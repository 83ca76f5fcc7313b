/** C0 controls but tab and line feed, DEL, C1 controls: a terminal acts on them instead of showing them. */
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
/** Also what breaks a line, and the marks that make text read in another order than it is stored. */
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const NAME_CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** A visible stand-in: the Unicode picture of a C0 control ("␛" for escape), "�" for the others. */
function visible(control: string): string {
  const code = control.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "␡" : "�";
}

/** Text of a model or a file, harmless on a terminal. Line feeds and tabs stay; carriage returns go. */
export function safeText(text: string): string {
  return text.replaceAll("\r", "").replace(CONTROL, visible);
}

/** A file name or other one-line text, harmless on a terminal. */
export function safeName(name: string): string {
  return name.replace(NAME_CONTROL, visible);
}
