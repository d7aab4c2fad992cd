#!/bin/bash
# What a packet costs through `weir run`, beside the kernel's own forwarding with the same rules on the same
# veth pairs: UDP of 64 bytes at a given rate, and TCP, both with MASQUERADE. As root.
#
# usage: Benchmarks/gateway.sh [WEIR] (RATE=packets a second, TIME=seconds, RUNS=, KINDS='kernel xdp')
#
# Processor time is that of the sender, the receiver, Weir and the kernel's own threads for network work: all
# that the packets need from end to end, since the kernel forwards in the sender's time.
set -eu
weir=${1:-.build/release/weir}
rate=${RATE:-100000}
seconds=${TIME:-4}
runs=${RUNS:-3}
folder=$(mktemp -d)
prefix=weirbench$$
ticks=$(getconf CLK_TCK)

cleanup() {
  for place in c r s; do
    ip netns pids $prefix$place 2>/dev/null | xargs -r kill 2>/dev/null || true
    ip netns del $prefix$place 2>/dev/null || true
  done
  rm -rf "$folder"
}
trap cleanup EXIT

cat > "$folder/rules" <<'RULES'
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i lan -o wan -j ACCEPT
COMMIT
RULES

at() { ip netns exec $prefix"$@"; }

# Processor time so far, in ticks, of the processes named by their numbers.
spent() {
  local total=0 process
  for process in "$@"; do
    [ -r /proc/$process/stat ] || continue
    total=$((total + $(sed 's/.*) //' /proc/$process/stat | awk '{print $12 + $13}')))
  done
  echo $total
}

lay() {
  for place in c r s; do ip netns add $prefix$place; ip -n $prefix$place link set lo up; done
  if [ "$1" != tun ]; then
    ip link add lan netns ${prefix}r type veth peer name eth0 netns ${prefix}c
    ip link add wan netns ${prefix}r type veth peer name eth0 netns ${prefix}s
    at r sysctl -qw net.ipv6.conf.lan.disable_ipv6=1 net.ipv6.conf.wan.disable_ipv6=1
    ip -n ${prefix}r link set lan up; ip -n ${prefix}r link set wan up
  fi
  case $1 in
    kernel)
      ip -n ${prefix}r addr add 192.168.1.1/24 dev lan
      ip -n ${prefix}r addr add 203.0.113.2/24 dev wan
      at r sysctl -qw net.ipv4.ip_forward=1
      at r iptables-restore < "$folder/rules"
      router= ;;
    nfqueue)
      ip -n ${prefix}r addr add 192.168.1.1/24 dev lan
      ip -n ${prefix}r addr add 203.0.113.2/24 dev wan
      at r sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.accept_local=1 \
        net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.lan.rp_filter=0 net.ipv4.conf.wan.rp_filter=0
      at r iptables -t mangle -A PREROUTING ! -i lo -j NFQUEUE --queue-balance 0:3
      at r iptables -t mangle -A OUTPUT -m mark ! --mark 0x57656972 -j NFQUEUE --queue-balance 0:3
      ip netns exec ${prefix}r "$weir" run --port nfqueue:0-3 --rules "$folder/rules" \
        --control "$folder/control" 2> "$folder/log" &
      router=$!
      sleep 1 ;;
    *)
      ip netns exec ${prefix}r "$weir" run --port lan=$1:lan --port wan=$1:wan \
        --address lan=192.168.1.1/24 --address wan=203.0.113.2/24 --rules "$folder/rules" \
        --control "$folder/control" 2> "$folder/log" &
      router=$!
      sleep 1 ;;
  esac
  if [ "$1" = tun ]; then
    ip -n ${prefix}r link set lan name eth0 netns ${prefix}c
    ip -n ${prefix}r link set wan name eth0 netns ${prefix}s
  fi
  ip -n ${prefix}c addr add 192.168.1.5/24 dev eth0; ip -n ${prefix}c link set eth0 up
  ip -n ${prefix}s addr add 203.0.113.10/24 dev eth0; ip -n ${prefix}s link set eth0 up
  if [ "$1" = tun ]; then ip -n ${prefix}c route add default dev eth0
  else ip -n ${prefix}c route add default via 192.168.1.1; fi
  # Segments left uncut do not come through there (docs/gateway.md).
  if [ "$1" = xdp-generic ]; then
    at c ethtool -K eth0 tso off gso off > /dev/null
    at s ethtool -K eth0 tso off gso off > /dev/null
  fi
  ip netns exec ${prefix}s iperf3 -s > /dev/null &
  server=$!
  sleep 0.5
}

unlay() {
  kill $server ${router:-} 2>/dev/null || true
  wait $server ${router:-} 2>/dev/null || true
  for place in c r s; do ip netns del $prefix$place; done
}

# What iperf3's report says of `name`, the last time it does.
figure() { grep -o "\"$1\":[^,}]*" "$folder/report" | tail -1 | cut -d: -f2 | tr -dc '0-9.e+-'; }

measure() {
  local kind=$1 what=$2 before after used client kernel_threads
  shift 2
  kernel_threads=$(pgrep ksoftirqd | tr '\n' ' ')
  before=$(spent $server ${router:-} $kernel_threads)
  TIMEFORMAT='%U %S'
  client=$({ time at c iperf3 -c 203.0.113.10 -J -t "$seconds" "$@" > "$folder/report"; } 2>&1)
  after=$(spent $server ${router:-} $kernel_threads)
  used=$(echo "$client" | awk -v t=$((after - before)) -v hz="$ticks" '{print $1 + $2 + t / hz}')
  if [ "$what" = udp ]; then
    awk -v k="$kind" -v p="$(figure packets)" -v l="$(figure lost_packets)" -v u="$used" \
      -v s="$seconds" 'BEGIN {
        printf "%-11s UDP 64 bytes: %8.0f packets/s arrived, %4.1f %% lost, %5.2f us a packet\n",
          k, (p - l) / s, 100 * l / p, 1e6 * u / (p - l) }'
  else
    awk -v k="$kind" -v b="$(figure bits_per_second)" -v u="$used" -v s="$seconds" 'BEGIN {
      printf "%-11s TCP: %6.2f Gbit/s, %5.2f s of processor a GByte\n",
        k, b / 1e9, u / (b * s / 8e9) }'
  fi
}

for _ in $(seq "$runs"); do
  for kind in ${KINDS:-kernel packet xdp xdp-generic tun nfqueue}; do
    lay $kind
    # 22 bytes of data: 64 with the Ethernet, IP and UDP headers.
    measure $kind udp -u -l 22 -b $((rate * 22 * 8))
    measure $kind tcp
    unlay
  done
done
