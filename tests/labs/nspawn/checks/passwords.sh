# Passwords, tried as PAM does.

# may_log_in USER PASSWORD: `su` by somebody who is not root.
may_log_in() {
    guest setpriv --reuid nobody --regid nogroup --clear-groups su --command 'id -un' "$1" <<< "$2" | grep -qx "$1"
}
may_not_log_in() { ! may_log_in "$@"; }
hash_of() { guest python3 -W ignore -c 'import crypt, sys; print(crypt.crypt(sys.argv[1], sys.argv[2]))' "$1" "$2"; }
shadow_of() { guest getent shadow "$1"; }

for user in alice bob carol; do guest useradd --create-home "$user"; done

push "two hashes and a text" cc_set_passwords 'SUCCESS .*successfully$' << JSON
{"chpasswd": {"expire": false, "users": [
  {"name": "alice", "password": "$(hash_of 'yes crypt 1' '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$')", "type": "hash"},
  {"name": "bob", "password": "$(hash_of 'sha 512' '$6$saltsalt$')", "type": "hash"},
  {"name": "carol", "password": "a text: with colons", "type": "text"}]}}
JSON
must "yescrypt: the password opens the account" may_log_in alice 'yes crypt 1'
must "SHA-512: the password opens the account" may_log_in bob 'sha 512'
must "text: the password opens the account" may_log_in carol 'a text: with colons'
must "another does not" may_not_log_in carol 'a text'
must "the text was hashed as this machine does it" shows ':\$y\$' getent shadow carol
must "the shadow file's owner and mode are Debian's" same "640 root shadow" "$(guest stat -c '%a %U %G' /etc/shadow)"

carols='{"chpasswd": {"expire": false, "users": [{"name": "carol", "password": "a text: with colons", "type": "text"}]}}'
printf 'a text: with colons\nher own Choice 7\nher own Choice 7\n' | guest setpriv --reuid carol --regid carol --init-groups passwd > /dev/null 2>&1
must "carol chooses her own" may_log_in carol 'her own Choice 7'
push "the same push again" cc_set_passwords 'SUCCESS .*nothing to change' <<< "$carols"
must "… leaves her choice alone" may_log_in carol 'her own Choice 7'

push "expire" cc_set_passwords 'SUCCESS' <<< '{"chpasswd": {"expire": true, "users": [{"name": "bob", "password": "due Now 1", "type": "text"}]}}'
must "a new password is due" same 0 "$(shadow_of bob | cut -d: -f3)"
must "… and PAM insists" may_not_log_in bob 'due Now 1'

push "a made-up password" cc_set_passwords 'SUCCESS' <<< '{"chpasswd": {"expire": false, "users": [{"name": "alice", "type": "RANDOM"}]}}'
soon "the console shows it" grep -aq '^alice:' "$CONSOLE"
made_up=$(grep -a '^alice:' "$CONSOLE" | tail -1 | tr -d '\r' | cut -d: -f2)
must "… and it opens the account" may_log_in alice "$made_up"
must "the journal of the machine does not hold it" lacks "$made_up" journalctl --quiet --all

shadow=$(guest cat /etc/shadow)
push "an unknown user refuses the whole push" cc_set_passwords '.*nothing was changed' << 'JSON'
{"chpasswd": {"users": [{"name": "bob", "password": "other", "type": "text"}, {"name": "nobody-here", "password": "x", "type": "text"}]}}
JSON
must "… and nothing is changed" same "$shadow" "$(guest cat /etc/shadow)"
for secret in 'yes crypt 1' 'sha 512' 'a text: with colons' 'due Now 1'; do
    must "\`$secret\` is not in the journal" lacks "$secret" journalctl --quiet --all
done
