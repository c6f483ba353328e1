# Twenty kills at random moments of a push: old or new, never a mix.

RANDOM=$SEED
echo "      SEED=$SEED"
met() { guest journalctl --quiet --unit cloud-channel --output cat --grep 'journal open pushes=[1-9]' | wc -l; }
met_before=$(met)
was_kernel=$old_kernel was_files=$old_files target=new
for round in $(seq 20); do
    options=()
    # A push takes a second or two, its trial one more.
    [ $((RANDOM % 2)) = 0 ] || options=(--confirm-within 1)
    delay=$(printf '0.%03d' $((RANDOM % 1000)))
    [ $((RANDOM % 2)) = 0 ] || delay=1${delay#0}
    "${target}_config" | guest cloud-channel set network - --no-wait "${options[@]}"
    # The moment is random: nothing is waited for.
    sleep "$delay"
    guest systemctl kill --signal KILL cloud-channel
    started_again
    ends=$(finishes)
    text="round $round: to $target ${options[*]}, killed after $delay s"
    case $ends in
        SUCCESS*) is=$target ;;
        *) is=was ;;
    esac
    must "$text: one finish: $(cut -c 1-120 <<< "$ends")" eval '[ "$(wc -l <<< "$ends")" = 1 ] && [[ $ends =~ ^(SUCCESS|FAIL\ .*put\ back) ]]'
    kernel=${is}_kernel files=${is}_files
    soon "… files and kernel agree with it" is_as "${!kernel}" "${!files}"
    if [ "$is" = "$target" ]; then
        was_kernel=${!kernel} was_files=${!files}
        if [ "$target" = new ]; then target=old; else target=new; fi
    fi
done
met_now=$(($(met) - met_before))
must "at least five of the twenty met a push at work: $met_now" test "$met_now" -ge 5
