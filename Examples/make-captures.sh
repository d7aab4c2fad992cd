#!/usr/bin/env bash
# Takes the captures of this folder: real programs, through a real Linux router, listened to on
# both of its ports.
#
#   sudo ./make-captures.sh [NAME...]
#
# NAME is home-router, port-forward, scan or long-download; without one, all four are taken.
# Each is written to the folder of its name when it is complete, over what was there.
#
# The machines are network namespaces; they and all that runs in them are gone when the script
# ends, however it ends. Nothing outside this folder is changed.
#
#         client  192.168.1.5                           internet
#           |                                   203.0.113.1  the next router
#   lan0 192.168.1.1  router  203.0.113.2 wan0  203.0.113.10 www.example.net
#           |                                   203.0.113.53 a name server
#         web     192.168.1.10 (port-forward)   203.0.113.66 someone unfriendly

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly packages="iproute2 ethtool procps util-linux iptables conntrack wireshark-common \
python3 curl bind9-dnsutils dnsmasq-base iputils-ping traceroute netcat-openbsd nmap"
readonly programs="ip ethtool sysctl taskset iptables-save ip6tables-save conntrack dumpcap \
python3 curl dig dnsmasq ping traceroute nc nmap"

readonly lan_mac=02:00:00:00:01:01 wan_mac=02:00:00:00:02:02
readonly client_mac=02:00:00:00:01:05 web_mac=02:00:00:00:01:10 internet_mac=02:00:00:00:02:01
readonly page=http://www.example.net/index.html

machines=()     # the namespaces made
background=()   # the processes started

work=$(mktemp -d)
readonly work

complain() {
    echo "make-captures: $*" >&2
    exit 1
}

# --- machines ------------------------------------------------------------------------------

# on MACHINE COMMAND...: runs a command on a machine.
on() {
    local machine=$1
    shift
    ip netns exec "weir-example-$machine" "$@"
}

# start MACHINE COMMAND...: the same, in the background, until the machines are switched off.
# (Not by way of `on`: then the process remembered would be the shell around the command.)
start() {
    ip netns exec "weir-example-$1" "${@:2}" >>"$work/background.log" 2>&1 &
    background+=($!)
}

# stop PROCESS: ends a process started in the background, and waits until it has finished its files.
stop() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# switch_on MACHINE: a machine with nothing plugged in.
switch_on() {
    ip netns add "weir-example-$1"
    machines+=("$1")
    on "$1" sysctl -qw net.ipv6.conf.default.accept_ra=0
    ip -n "weir-example-$1" link set lo up
}

switch_off_all() {
    local process machine
    for process in "${background[@]}"; do
        stop "$process"
    done
    for machine in "${machines[@]}"; do
        ip netns del "weir-example-$machine" 2>/dev/null || true
    done
    background=() machines=()
}

# cable MACHINE PORT MAC MACHINE PORT MAC: joins two ports, and has the kernel compute every
# checksum and cut every segment itself, so that what is captured is what would be on a wire.
cable() {
    ip link add "$2" netns "weir-example-$1" address "$3" type veth \
        peer name "$5" netns "weir-example-$4" address "$6"
    local machine port
    for machine in "$1 $2" "$4 $5"; do
        port=${machine#* } machine=${machine% *}
        on "$machine" ethtool -K "$port" tx off rx off sg off tso off gso off gro off >/dev/null
        ip -n "weir-example-$machine" link set "$port" up
    done
}

# address MACHINE PORT ADDRESS...
address() {
    local machine=$1 port=$2 one
    shift 2
    for one in "$@"; do
        if [[ $one == *:* ]]; then
            ip -n "weir-example-$machine" address add "$one" dev "$port" nodad
        else
            ip -n "weir-example-$machine" address add "$one" broadcast + dev "$port"
        fi
    done
}

# route MACHINE NETWORK GATEWAY
route() {
    ip -n "weir-example-$1" route add "$2" via "$3"
}

# build_network INSIDE6: the network of the drawing above. INSIDE6 is the first half of the
# IPv6 addresses inside, such as 2001:db8:1.
build_network() {
    local inside6=$1 machine port
    for machine in router client internet; do
        switch_on "$machine"
    done
    on router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
        net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0

    case $scenario in
        port-forward)   # a second machine inside, so the LAN is a switch
            switch_on web
            switch_on switch
            on switch sysctl -qw net.ipv6.conf.default.disable_ipv6=1
            ip -n weir-example-switch link add bridge0 type bridge mcast_snooping 0
            ip -n weir-example-switch link set bridge0 up
            cable router lan0 "$lan_mac" switch port1 02:00:00:00:03:01
            cable client eth0 "$client_mac" switch port2 02:00:00:00:03:02
            cable web eth0 "$web_mac" switch port3 02:00:00:00:03:03
            for port in port1 port2 port3; do
                ip -n weir-example-switch link set "$port" master bridge0
            done
            address web eth0 192.168.1.10/24 "$inside6::10/64"
            route web default 192.168.1.1
            route web default "$inside6::1"
            ;;
        *)
            cable router lan0 "$lan_mac" client eth0 "$client_mac"
            ;;
    esac
    case $scenario in
        long-download)  # a bad line to the internet
            switch_on line
            on line sysctl -qw net.ipv6.conf.default.disable_ipv6=1
            cable router wan0 "$wan_mac" line end-a 02:00:00:00:04:01
            cable internet eth0 "$internet_mac" line end-b 02:00:00:00:04:02
            start line python3 lossy-line.py end-a end-b
            ;;
        *)
            cable router wan0 "$wan_mac" internet eth0 "$internet_mac"
            ;;
    esac

    address client eth0 192.168.1.5/24 "$inside6::5/64"
    address router lan0 192.168.1.1/24 "$inside6::1/64"
    address router wan0 203.0.113.2/24 2001:db8:203::2/64
    address internet eth0 203.0.113.1/24 203.0.113.10/24 203.0.113.53/24 203.0.113.66/24 \
        2001:db8:203::1/64 2001:db8:203::10/64 2001:db8:203::53/64 2001:db8:203::66/64
    route client default 192.168.1.1
    route client default "$inside6::1"
    route router default 203.0.113.1
    route router default 2001:db8:203::1
    route internet 192.168.1.0/24 203.0.113.2
    route internet "$inside6::/64" 2001:db8:203::2
}

# --- programs on the machines --------------------------------------------------------------

# wait_for MACHINE PORT: until something listens there.
wait_for() {
    for _ in {1..100}; do
        if [[ -n $(on "$1" ss -Hltn "sport = :$2") ]]; then
            return
        fi
        sleep 0.1
    done
    complain "nothing listens on port $2 of $1: $(<"$work/background.log")"
}

# web_server MACHINE PORT FOLDER
web_server() {
    start "$1" python3 -m http.server "$2" --bind :: --directory "$3"
    wait_for "$1" "$2"
}

# name_server MACHINE OPTION...
name_server() {
    start "$1" dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root \
        --no-resolv --no-hosts --bind-interfaces "${@:2}"
    wait_for "$1" 53
}

# internet_name_server: knows www.example.net.
internet_name_server() {
    name_server internet --listen-address=203.0.113.53,2001:db8:203::53 \
        --host-record=www.example.net,203.0.113.10,2001:db8:203::10 --local-ttl=300
}

# fetch MACHINE OPTION... URL
fetch() {
    local machine=$1
    shift
    on "$machine" curl --silent --show-error --max-time 10 --output /dev/null \
        --resolve www.example.net:80:203.0.113.10,2001:db8:203::10 "$@" ||
        complain "fetching failed on $machine: $*"
}

# ask MACHINE OPTION...: asks a name server, and expects an answer.
ask() {
    local machine=$1
    shift
    [[ -n $(on "$machine" dig +tries=1 +time=3 +short "$@") ]] ||
        complain "no answer on $machine to dig $*"
}

# knock MACHINE ADDRESS PORT: tries to open a connection that is to fail.
knock() {
    if on "$1" nc -z -w 1 "$2" "$3" 2>/dev/null; then
        complain "$1 was let in at $2 port $3"
    fi
}

# --- the traffic of each capture -----------------------------------------------------------

home_router_programs() {
    web_server internet 80 www
    internet_name_server
}

home_router_traffic() {
    ask client @203.0.113.53 www.example.net
    fetch client -4 "$page"
    on client ping -q -c 2 -i 0.3 203.0.113.10 >/dev/null
    on client traceroute -n -q 1 -N 1 -w 1 -m 3 203.0.113.10 >/dev/null
    knock internet 192.168.1.5 22       # refused by FORWARD
    knock internet 203.0.113.2 22       # dropped by INPUT
    ask client @2001:db8:203::53 www.example.net AAAA
    fetch client -6 "$page"
    knock internet 2001:db8:1::5 22
    on client ping -6 -q -c 2 -i 0.3 2001:db8:203::10 >/dev/null
}

port_forward_programs() {
    web_server internet 80 www
    web_server web 80 www
    internet_name_server
    name_server router --interface=lan0 --server=203.0.113.53
}

port_forward_traffic() {
    fetch internet http://203.0.113.2:8080/index.html       # from outside
    fetch client http://203.0.113.2:8080/index.html         # from inside: hairpin
    ask client @203.0.113.53 www.example.net                # answered by the router, which asks
    ask client @203.0.113.10 www.example.net                # the same, from its memory
    ask client +tcp @203.0.113.53 www.example.net AAAA
    fetch client -4 "$page"
    knock internet 203.0.113.2 8081
    fetch internet 'http://[2001:db8:203::2]:8080/index.html'
    fetch client 'http://[2001:db8:203::2]:8080/index.html'
    ask client @2001:db8:203::53 www.example.net AAAA
    fetch client -6 "$page"
    on web ping -q -c 1 203.0.113.10 >/dev/null
}

scan_programs() {
    web_server client 80 www
    start router nc -6 -lk 22
    wait_for router 22
    name_server router --interface=wan0 --host-record=www.example.org,203.0.113.2
}

# scan_with OPTION... TARGET: nmap, as the unfriendly machine.
scan_with() {
    on internet nmap -n -Pn -T4 --max-retries 1 --disable-arp-ping -e eth0 "$@" >/dev/null
}

scan_traffic() {
    local from=203.0.113.66 from6=2001:db8:203::66
    ask internet -b "$from" @203.0.113.2 www.example.org
    on internet ping -q -c 2 -i 0.3 -I "$from" 203.0.113.2 >/dev/null
    scan_with -S "$from" -sS -p 22,25,80,443 203.0.113.2
    scan_with -S "$from" -sA -p 22,80 203.0.113.2
    scan_with -S "$from" -sF -p 22,80 203.0.113.2
    scan_with -S "$from" -sU -p 53,123,161 203.0.113.2
    scan_with -S "$from" -sS -p 22,80,443 192.168.1.5
    scan_with -S "$from" -sA -p 22,80 192.168.1.5
    scan_with -S "$from" -sF -p 80 192.168.1.5
    scan_with -S "$from" -sU -p 53,161 192.168.1.5
    scan_with -S "$from6" -6 -sS -p 22,80 2001:db8:203::2
    scan_with -S "$from6" -6 -sU -p 161 2001:db8:203::2
    scan_with -S "$from6" -6 -sS -p 22,80 2001:db8:1::5
    scan_with -S "$from6" -6 -sA -p 80 2001:db8:1::5
    on client ping -q -c 1 203.0.113.1 >/dev/null           # inside, life goes on
}

long_download_programs() {
    mkdir -p "$work/files"
    seq -f 'Line %07.0f of a file that is long rather than interesting.' 24000 \
        >"$work/files/long.txt"
    on client sysctl -qw net.ipv4.tcp_rmem='4096 65536 131072'     # no more than this on its way
    web_server internet 80 "$work/files"
}

long_download_traffic() {
    # The reader stops after a million bytes: curl leaves, and the kernel says so with RST.
    on client curl --silent --max-time 60 http://203.0.113.10/long.txt | head -c 1000000 |
        wc -c >"$work/read" || true
    [[ $(<"$work/read") == 1000000 ]] || complain "the download broke off early"
    sleep 0.2
}

# --- one capture ---------------------------------------------------------------------------

# take_snapshot FOLDER: what the router would do with a packet, as Weir reads it.
take_snapshot() {
    mkdir -p "$1"
    on router iptables-save >"$1/rules.v4"
    on router ip6tables-save >"$1/rules.v6"
    on router ip -j address show >"$1/addresses.json"
    on router ip -j route show table all >"$1/routes.json"
    on router ip -j -6 route show table all >"$1/routes6.json"
    on router sysctl -a 2>/dev/null | grep -E \
        -e '^net\.netfilter\.' \
        -e '^net\.ipv4\.(ip_(forward|default_ttl|local_port_range)|icmp_|ipfrag_|fwmark_reflect)' \
        -e '^net\.ipv6\.(icmp\.|ip6frag_|fwmark_reflect)' \
        -e '^net\.ipv[46]\.conf\.(all|lan0|wan0)\.' >"$1/sysctl.conf"
}

# listen: starts listening to both ports of the router, and to its connection tracker.
listen() {
    start router dumpcap -q -i lan0 -i wan0 -w "$work/raw.pcapng"
    listener=${background[-1]}
    for _ in {1..100}; do
        if (($(on router cat /proc/net/packet | wc -l) == 3)); then    # a title and two sockets
            break
        fi
        sleep 0.1
    done
    ip netns exec weir-example-router conntrack -E -o extended,timestamp \
        >"$work/kernel-events.txt" 2>>"$work/background.log" &
    watcher=$!
    background+=("$watcher")
    sleep 0.5
}

# write_down: what the router's kernel says, now that the last packet has gone.
write_down() {
    read_at=$(date +%s.%N)
    on router conntrack -L -o extended 2>/dev/null | LC_ALL=C sort >"$work/kernel.txt"
    on router iptables-save -c >"$work/kernel-counters.v4"
    on router ip6tables-save -c >"$work/kernel-counters.v6"
    sleep 0.3
    stop "$listener"
    stop "$watcher"
}

# capture: takes the capture named by `scenario`.
capture() {
    local run=${scenario//-/_} inside6=2001:db8:1
    echo "$scenario ..."
    if [[ $scenario == port-forward ]]; then
        inside6=fd00:192:168:1
    fi
    build_network "$inside6"
    if [[ $scenario != home-router ]]; then
        on router sysctl -qw net.netfilter.nf_conntrack_acct=1
    fi
    "${run}_programs"
    sleep 4     # the ports announce themselves when they come up; let them finish

    listen
    # Loaded last, so that the rules have counted nothing but what is captured.
    on router iptables-restore <"$scenario/ruleset.v4"
    on router ip6tables-restore <"$scenario/ruleset.v6"
    take_snapshot "$work/host"
    "${run}_traffic"
    write_down
    switch_off_all

    local count first last
    read -r count first last < <(python3 tidy-capture.py "$work/raw.pcapng" "$work/capture.pcapng")
    awk -v last="$last" -v read_at="$read_at" \
        'BEGIN { exit !(last < read_at && read_at < last + 1) }' ||
        complain "the last packet came at $last and the table was read at $read_at; run it again"
    printf '%-12s = %s\n' first-packet "$first" last-packet "$last" table-read "$read_at" \
        >"$work/kernel-time.txt"

    rm -rf "$scenario/host"
    mv "$work"/{host,capture.pcapng,kernel.txt,kernel-events.txt,kernel-time.txt} \
        "$work"/kernel-counters.v{4,6} "$scenario"
    echo "$scenario: $count packets, $(stat -c %s "$scenario/capture.pcapng") bytes"
}

# --- all -----------------------------------------------------------------------------------

if ((EUID != 0)); then
    complain "needs root, to make network namespaces"
fi
for program in $programs; do
    if ! command -v "$program" >/dev/null; then
        complain "there is no $program here; what is needed: apt-get install $packages"
    fi
done
for machine in router client web internet switch line; do
    if [[ -e /run/netns/weir-example-$machine ]]; then
        complain "there is a namespace weir-example-$machine already, another run's or its remains: \
ip netns del weir-example-$machine"
    fi
done

trap 'switch_off_all; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# One processor handles every packet, so none overtakes another inside the router, and the
# captured order is the order in which the router met them.
taskset -cp 0 $$ >/dev/null

if (($# == 0)); then
    set -- home-router port-forward scan long-download
fi
for scenario in "$@"; do
    case $scenario in
        home-router | port-forward | scan | long-download) capture ;;
        *) complain "there is no example $scenario" ;;
    esac
done
