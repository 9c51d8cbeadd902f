# Flattens a JSON document into lines of "path<TAB>value" (public_keys.mine<TAB>ssh-ed25519 ...), for shells to grep in.
# Line feeds and tabs inside a string become spaces; of \u escapes those of ASCII are decoded, others stay as they are.
{ text = text $0 "\n" }
END { value("") }

function space() { sub(/^[ \t\r\n]+/, "", text) }

function string(   raw, out, code) {
  match(text, /^"([^"\\]|\\.)*"/)
  raw = substr(text, 2, RLENGTH - 2)
  text = substr(text, RLENGTH + 1)
  out = ""
  while (match(raw, /\\./)) {
    out = out substr(raw, 1, RSTART - 1)
    code = substr(raw, RSTART + 1, 1)
    raw = substr(raw, RSTART + 2)
    if (code ~ /[nrtbf]/) out = out " "
    else if (code == "u") {
      code = (index("01234567", substr(raw, 3, 1)) - 1) * 16 + index("0123456789abcdef", tolower(substr(raw, 4, 1))) - 1
      if (raw ~ /^00[2-7]/) out = out sprintf("%c", code)
      else out = out "\\u" substr(raw, 1, 4)
      raw = substr(raw, 5)
    } else out = out code
  }
  return out raw
}

function value(path) {
  space()
  if (text ~ /^"/) print path "\t" string()
  else if (text ~ /^[{[]/) members(path, text ~ /^\{/)
  else {
    match(text, /^[^], \t\r\n}]*/)
    print path "\t" substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
  }
}

function members(path, named,   key, position) {
  text = substr(text, 2)
  space()
  for (position = 0; text != "" && text !~ /^[]}]/; position++) {
    key = position
    if (named) {
      key = string()
      space()
      text = substr(text, 2)
    }
    value(path == "" ? key : path "." key)
    space()
    if (text ~ /^,/) text = substr(text, 2)
    space()
  }
  text = substr(text, 2)
}
