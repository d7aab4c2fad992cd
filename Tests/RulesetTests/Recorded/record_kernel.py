#!/usr/bin/env python3
"""Asks the running kernel which rules match which packets, and writes the answers down for
EvaluationTests. As root: record_kernel.py DIALECT FAMILY > kernel.DIALECT.FAMILY.txt, where DIALECT
is legacy or nft and FAMILY 4 or 6. Needs iptables, conntrack and a network namespace of its own:
`ip netns add x; ip netns exec x ./record_kernel.py legacy 4 > kernel.legacy.4.txt`.

Each block is a ruleset (between `<<<` and `>>>`), then for each packet its fields as the rules see
them and the counters the kernel showed after it: of all rules in the order of iptables-save, and of
the built-in chain's policy. `.` is [0:0], `=` one packet of the given length, others are in brackets. Counters start at 0 for each packet, but add up in a `cumulative` block.
"""
import os, fcntl, random, struct, subprocess, sys, time, socket
TUNSETIFF=0x400454ca
def tun(name):
    f=os.open('/dev/net/tun',os.O_RDWR); fcntl.ioctl(f,TUNSETIFF,struct.pack('16sH22s',name.encode(),0x1001,b'')); return f
def cks(b):
    if len(b)%2: b+=b'\0'
    s=sum(struct.unpack(f'!{len(b)//2}H',b))
    while s>>16: s=(s&0xffff)+(s>>16)
    return ~s&0xffff
def ip4(src,dst,proto,payload,frag=0,mf=0,ttl=64,tos=0,ident=1):
    h=struct.pack('!BBHHHBBH4s4s',0x45,tos,20+len(payload),ident,(mf<<13)|frag,ttl,proto,0,socket.inet_aton(src),socket.inet_aton(dst))
    h=h[:10]+struct.pack('!H',cks(h))+h[12:]
    return h+payload
def ip6(src,dst,nh,payload,hl=64):
    return struct.pack('!IHBB16s16s',0x60000000,len(payload),nh,hl,socket.inet_pton(10,src),socket.inet_pton(10,dst))+payload
def tcp(sp,dp,flags=2,opts=b'',seq=1,ack=0,pay=b'',src=None,dst=None):
    assert len(opts)%4==0
    h=struct.pack('!HHIIBBHHH',sp,dp,seq,ack,(5+len(opts)//4)<<4,flags,8192,0,0)+opts+pay
    if src:
        if ':' in src: ph=socket.inet_pton(10,src)+socket.inet_pton(10,dst)+struct.pack('!IHBB',len(h),0,0,6)
        else: ph=socket.inet_aton(src)+socket.inet_aton(dst)+struct.pack('!BBH',0,6,len(h))
        c=cks(ph+h); h=h[:16]+struct.pack('!H',c)+h[18:]
    return h
def udp(sp,dp,pay=b'x'): return struct.pack('!HHHH',sp,dp,8+len(pay),0)+pay
def icmp(t,c,rest=b'\0\1\0\1abcd'):
    h=struct.pack('!BBH',t,c,0)+rest; return struct.pack('!BBH',t,c,cks(h))+rest
def sh(*a,**k): return subprocess.run(a,capture_output=True,text=True,**k)

dialect, fam = sys.argv[1:3]
ipt = ('iptables' if fam == '4' else 'ip6tables') + '-' + dialect
f0 = tun('tun0'); f1 = tun('tun1')
for i in (0, 1):
    sh('ip', 'link', 'set', f'tun{i}', 'up')
    sh('ip', 'addr', 'add', f'10.{i}.0.1/24', 'dev', f'tun{i}')
    sh('ip', '-6', 'addr', 'add', f'fd0{i}::1/64', 'dev', f'tun{i}', 'nodad')
sh('ip', 'link', 'set', 'lo', 'up')
for s in ('ip_forward=1', 'conf.all.rp_filter=0', 'conf.default.rp_filter=0', 'conf.tun0.rp_filter=0', 'conf.tun1.rp_filter=0'):
    sh('sysctl', '-w', 'net.ipv4.' + s)

def load(text):
    x = sh(ipt + '-restore', input=text)
    if x.returncode: sys.exit('refused: ' + x.stderr + text)

def counters():
    lines = sh(ipt + '-save', '-c', '-t', 'mangle').stdout.split('\n')
    rules = [l.split(']')[0][1:] for l in lines if l.startswith('[') and ' -A FORWARD ' not in l]
    policy = [l.split('[')[1].rstrip(']') for l in lines if l.startswith(':PREROUTING')][0]
    return rules, policy

def block(text, kind='fresh'):
    print('block', dialect, fam, kind); print('<<<'); print(text, end=''); print('>>>')

def write(fields):
    print('packet', ' '.join(f'{k}={v}' for k, v in fields.items()))
    rules, policy = counters()
    def short(c): return '.' if c == '0:0' else '=' if c == f'1:{fields["length"]}' else f'({c})'
    print('counters', ''.join(short(c) for c in rules), short(policy))

def run(text, packets, fd=None):
    load(text); block(text)
    for pkt, fields in packets:
        sh(ipt, '-t', 'mangle', '-Z')
        if 'orig' in fields: sh('conntrack', '-F')
        os.write(fd or f0, pkt); time.sleep(0.004)
        write(fields)

def mangle(rules, extra=''):
    return '*mangle\n:PREROUTING ACCEPT [0:0]\n' + ''.join(f'-A PREROUTING {r}\n' for r in rules) + extra + 'COMMIT\n'

# Headers: every field, truncated ones, fragments.
S4,D4='10.0.0.5','192.0.2.7'; S6,D6='2001:db8::5','2001:db8:1::7'
S,D=(S4,D4) if fam=='4' else (S6,D6)
P=[]
def add(name,pkt,proto,avail,**k):
    d=dict(name=name,src=S,dst=D,proto=proto,avail=avail,length=len(pkt),ttl=64); d.update(k); P.append((pkt,d))
def mk(proto,payload,**k):
    if fam=='4': return ip4(S,D,proto,payload,**k)
    return ip6(S,D,proto,payload)
IC=1 if fam=='4' else 58
for fl in (2,0x12,0x10,4,1,0,0x3f,0xff,0xc2,8,0x18,0x29):
    p=tcp(1000,80,fl); add(f'tcp{fl:x}',mk(6,p),6,len(p),sport=1000,dport=80,flags=fl)
o=bytes([2,4,5,0xb4]); p=tcp(53,443,2,o); add('tcpmss',mk(6,p),6,len(p),sport=53,dport=443,flags=2)
o=bytes([1,1,4,2,3,3,7,0]); p=tcp(53,443,2,o); add('tcpopts',mk(6,p),6,len(p),sport=53,dport=443,flags=2)
o=bytes([1,5,10,0]+[0]*8); p=tcp(53,443,2,o); add('tcpsack',mk(6,p),6,len(p),sport=53,dport=443,flags=2)
o=bytes([0,0,2,4,0,100,1,1]); p=tcp(53,443,2,o); add('eol-mss',mk(6,p),6,len(p),sport=53,dport=443,flags=2)
o=bytes([2,4,0,100,2,4,5,0xb4]); p=tcp(53,443,2,o); add('2mss',mk(6,p),6,len(p),sport=53,dport=443,flags=2)
o=bytes([2,3,5,1]); p=tcp(53,443,2,o); add('shortmss',mk(6,p),6,len(p),sport=53,dport=443,flags=2)
o=bytes([7,0,5,1]); p=tcp(53,443,2,o); add('len0',mk(6,p),6,len(p),sport=53,dport=443,flags=2)
o=bytes([1,1,1,5]); p=tcp(53,443,2,o); add('atend',mk(6,p),6,len(p),sport=53,dport=443,flags=2)
o=bytes([254,4,0,0]); p=tcp(53,443,2,o); add('tcpexp',mk(6,p),6,len(p),sport=53,dport=443,flags=2)
for sp,dp in ((53,53),(0,0),(65535,65535),(1024,22),(22,1024)):
    p=udp(sp,dp); add(f'udp{sp}-{dp}',mk(17,p),17,len(p),sport=sp,dport=dp)
    p=tcp(sp,dp); add(f'tcp{sp}-{dp}',mk(6,p),6,len(p),sport=sp,dport=dp,flags=2)
for t,c in ((8,0),(0,0),(3,1),(3,4),(255,0),(255,3),(128,0),(1,3),(135,0),(11,0)):
    p=icmp(t,c); add(f'icmp{t}/{c}',mk(IC,p),IC,len(p),type=t,code=c)
p=b'\0'*20; add('gre',mk(47,p),47,20); add('proto200',mk(200,p),200,20); add('sctp',mk(132,struct.pack('!HH',53,80)+b'\0'*16),132,20,sport=53,dport=80)
add('udplite',mk(136,udp(53,80)),136,9,sport=53,dport=80); add('dccp',mk(33,struct.pack('!HH',53,80)+b'\0'*16),33,20,sport=53,dport=80)
T=[]
def trunc(name,proto,n,full,**k):
    pl=full[:n]; pkt=mk(proto,pl); d=dict(name=name,src=S,dst=D,proto=proto,avail=n,length=len(pkt),ttl=64); d.update(k); T.append((pkt,d))
for n in (0,2,4,8,13,14,19):
    k=dict(sport=1000 if n>=2 else 0,dport=80 if n>=4 else 0,flags=2 if n>=14 else 0)
    trunc(f'tcp-{n}',6,n,tcp(1000,80,2),**k)
for n in (0,3,4,7): trunc(f'udp-{n}',17,n,udp(1000,80),**({'sport':1000,'dport':80} if n>=4 else {}))
for n in (0,3,4,7): trunc(f'icmp-{n}',IC,n,icmp(8 if fam=='4' else 128,0),**({'type':8 if fam=='4' else 128} if n>=1 else {}))
def bad(name,doff,n):
    p=bytearray(tcp(1000,80,2,b'\2\4\5\xb4'+b'\1'*16)); p[12]=doff<<4; p=bytes(p[:n]); T.append((mk(6,p),dict(name=name,src=S,dst=D,proto=6,avail=n,length=len(mk(6,p)),ttl=64,sport=1000,dport=80,flags=2)))
bad('doff3',3,30); bad('doff0',0,30); bad('doff10-24',10,24); bad('doff10-20',10,20)
if fam=='4':
    for fr,mf,nm in ((1,0,'f1'),(2,1,'f2'),(185,0,'f185')):
        for pr in (6,17,1):
            pl=b'\0'*24; pkt=ip4(S,D,pr,pl,frag=fr,mf=mf); T.append((pkt,dict(name=f'{nm}-p{pr}',src=S,dst=D,proto=pr,avail=0,length=len(pkt),ttl=64,frag=fr)))
    pl=tcp(1000,80,2); pkt=ip4(S,D,6,pl+b'\0'*4,frag=0,mf=1); T.append((pkt,dict(name='first',src=S,dst=D,proto=6,avail=24,length=len(pkt),ttl=64,sport=1000,dport=80,flags=2)))
R='''-s 10.0.0.5
! -s 10.0.0.5
-s 10.0.0.0/8
-s 10.0.0.4/30
! -s 10.0.0.4/30
-s 10.0.0.6/31
-s 10.0.0.5/255.0.0.255
-s 10.99.99.5/255.0.0.255
! -s 10.99.99.5/255.0.0.255
-d 192.0.2.7 -s 10.0.0.5
-d 192.0.2.8
-i tun0
-i tun+
! -i tun0
-i tun
-i t+
! -i t+
-i eth0
! -i eth0
-i lo
-p tcp
! -p tcp
-p udp
-p icmp
! -p icmp
-p gre
-p 200
! -p 200
-f
! -f
-f -p tcp
! -f -p udp
-p tcp --dport 80
-p tcp ! --dport 80
-p tcp --sport 1000:2000
-p tcp ! --sport 1000:2000
-p tcp --dport 80 --sport 1000
-p tcp --dport 0
-p tcp --dport 65535
-p tcp --dport 0:65535
-p tcp ! --dport 1:65534
-p tcp --syn
-p tcp ! --syn
-p tcp --tcp-flags ALL NONE
-p tcp --tcp-flags ALL ALL
-p tcp --tcp-flags SYN,ACK SYN
-p tcp ! --tcp-flags SYN,ACK SYN
-p tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG FIN,PSH,URG
-p tcp --tcp-flags SYN ACK
-p tcp --tcp-option 2
-p tcp ! --tcp-option 2
-p tcp --tcp-option 1
-p tcp --tcp-option 4
-p tcp --tcp-option 3
-p tcp --tcp-option 254
-p tcp -m tcpmss --mss 100
-p tcp ! --tcp-option 4
-p tcp --tcp-option 5
-p tcp -m tcp
-p udp -m udp
-p udp --dport 53
-p udp ! --dport 53
-p udp --sport 1024:
-p udp --dport 0
-p udp --dport 80
-p tcp -m multiport --dports 22,80,443
-p tcp -m multiport ! --dports 22,80,443
-p tcp -m multiport --sports 53,1000:2000
-p tcp -m multiport --ports 53,22
-p tcp -m multiport ! --ports 53,22
-p udp -m multiport --ports 53,0
-p udp -m multiport --dports 80
-p sctp -m multiport --dports 80
-p dccp -m multiport --dports 80
-p udplite -m multiport --dports 80
-m mark --mark 0
-m mark ! --mark 0
-m mark --mark 1/1
-m mark --mark 0/0
-m mark --mark 1/0
-m mark --mark 0xfff/0xff
-m iprange --src-range 10.0.0.1-10.0.0.9
-m iprange ! --src-range 10.0.0.1-10.0.0.9
-m iprange --src-range 10.0.0.9-10.0.0.1
-m iprange --dst-range 192.0.2.7-192.0.2.7 --src-range 10.0.0.5-10.0.0.5
-m iprange ! --dst-range 192.0.2.7-192.0.2.7 --src-range 10.0.0.5-10.0.0.5
-m length --length 40
-m length --length 29:40
-m length ! --length 29:40
-m length --length 40:29
-m length ! --length 40:29
-m ttl --ttl-eq 64
-m ttl ! --ttl-eq 64
-m ttl --ttl-lt 64
-m ttl --ttl-lt 65
-m ttl --ttl-gt 64
-m ttl --ttl-gt 63
-p tcp -m tcpmss --mss 1460
-p tcp -m tcpmss ! --mss 1460
-p tcp -m tcpmss --mss 0:65535
-p tcp -m tcpmss ! --mss 0:1000
-m comment --comment x
-p icmp --icmp-type 8
-p icmp --icmp-type 8/0
-p icmp ! --icmp-type 8
-p icmp --icmp-type 3
-p icmp --icmp-type 3/1
-p icmp ! --icmp-type 3/1
-p icmp --icmp-type any
-p icmp ! --icmp-type any
-p icmp --icmp-type 0'''
if fam=='6':
    R=R.replace('10.0.0.5/255.0.0.255','2001:db8::5/ffff::ffff').replace('10.99.99.5/255.0.0.255','2001:99::5/ffff::ffff')
    R=R.replace('10.0.0.0/8','2001:db8::/32').replace('10.0.0.4','2001:db8::4').replace('10.0.0.6','2001:db8::6').replace('/30','/126').replace('/31','/127')
    R=R.replace('10.0.0.','2001:db8::').replace('192.0.2.','2001:db8:1::').replace('icmp','icmpv6').replace('ttl','hl')
    R='\n'.join(l for l in R.split('\n') if '-f' not in l.split() and 'any' not in l)
    R=R.replace('type 8','type 128').replace('type 3','type 1')
R=R.split('\n')
size=20 if fam=='4' else 40
for pk,dd in P+T:
    if dd['proto']==6 and not dd.get('frag'): dd['tp']=pk[size:].hex()
run(mangle(R), P)
# A match that cannot read its header drops the packet, so rules are asked one by one. Later
# fragments are left to the older dialect: nftables reads ports in them, which Weir never has, for
# it reassembles first.
T = [(p, d) for p, d in T if dialect == 'legacy' or not d.get('frag')]
for r in R if fam == '4' else R[::5]:
    if any(x in r for x in ('tcp', 'udp', 'icmp', 'multiport', '-f', 'mss')) and '! --dport 0:65535' not in r:
        run(mangle([r]), [(p, d) for p, d in T if 'mss' not in r or not d.get('frag')])

# Chains: jumps, gotos, returns, policies.
A, B = ('10.0.0.5', '10.1.0.7') if fam == '4' else ('fd00::5', 'fd01::7')
CHAINS = '''*mangle
:PREROUTING %s [0:0]
:A - [0:0]
:B - [0:0]
:C - [0:0]
:D - [0:0]
:E - [0:0]
-A PREROUTING -p tcp -j A
-A PREROUTING -p udp -g B
-A PREROUTING -p icmp -j C
-A PREROUTING -p 99 -j RETURN
-A PREROUTING -p 98 -j D
-A PREROUTING
-A A -j B
-A A
-A A -g C
-A A
-A B -p tcp -j RETURN
-A B -p udp -j C
-A B -p udp --dport 54 -j RETURN
-A B
-A B -p udp --dport 55 -j DROP
-A C -p icmp -g D
-A C -p udp --dport 53 -j ACCEPT
-A C
-A D -p 98 -g E
-A E -p 98 -j RETURN
-A E
-A D -j RETURN
-A D
COMMIT
'''
packets = []
def put(proto, payload, **k):
    pkt = ip4(A, B, proto, payload) if fam == '4' else ip6(A, B, proto, payload)
    packets.append((pkt, dict(dict(src=A, dst=B, proto=proto, length=len(pkt), ttl=64, avail=len(payload)), **k)))
ICMP = 1 if fam == '4' else 58
put(6, tcp(5, 6, 2, src=A, dst=B), sport=5, dport=6, flags=2)
for dp in (53, 54, 55, 56): put(17, udp(5, dp), sport=5, dport=dp)
put(ICMP, icmp(8 if fam == '4' else 128, 0), type=8 if fam == '4' else 128)
for p in (199, 198, 197): put(p, b'x' * 8)
CHAINS = CHAINS.replace('-p 99', '-p 199').replace('-p 98', '-p 198')
if fam == '6': CHAINS = CHAINS.replace('icmp', 'icmpv6')
for policy in ('ACCEPT', 'DROP'): run(CHAINS % policy, packets)

# Marks.
MARKS = '''*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -j MARK --set-mark 0xf0f0
-A PREROUTING -m mark --mark 0xf0f0
-A PREROUTING -j MARK --and-mark 0xff
-A PREROUTING -m mark --mark 0xf0
-A PREROUTING -j MARK --or-mark 0x100
-A PREROUTING -m mark --mark 0x1f0
-A PREROUTING -j MARK --xor-mark 0x110
-A PREROUTING -m mark --mark 0xe0
-A PREROUTING -j MARK --set-mark 0xf00/0x0f
-A PREROUTING -m mark --mark 0xfe0
-A PREROUTING -j MARK --set-xmark 0x123/0xf00
-A PREROUTING -m mark --mark 0x1c3
-A PREROUTING -j CONNMARK --set-mark 0x12345678
-A PREROUTING -m connmark --mark 0x12345678
-A PREROUTING -j CONNMARK --set-xmark 0xff/0xf0
-A PREROUTING -m connmark --mark 0x123456f7
-A PREROUTING -j CONNMARK --and-mark 0xffff
-A PREROUTING -m connmark --mark 0x56f7
-A PREROUTING -j CONNMARK --or-mark 0x8
-A PREROUTING -m connmark --mark 0x56ff
-A PREROUTING -j CONNMARK --xor-mark 0x1
-A PREROUTING -m connmark --mark 0x56fe
-A PREROUTING -j CONNMARK --set-mark 0xf/0xf0 --left-shift-mark 4
-A PREROUTING -m connmark --mark 0x560f0
-A PREROUTING -j CONNMARK --set-xmark 0/0 --right-shift-mark 8
-A PREROUTING -m connmark --mark 0x560
-A PREROUTING -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xf0
-A PREROUTING -m connmark --mark 0x5c3
-A PREROUTING -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xf0 --left-shift-mark 8
-A PREROUTING -m connmark --mark 0xc603
-A PREROUTING -j CONNMARK --save-mark --nfmask 0xff0 --ctmask 0xffff --right-shift-mark 4
-A PREROUTING -m connmark --mark 0x1c
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff
-A PREROUTING -m mark --mark 0x11c
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff --left-shift-mark 4
-A PREROUTING -m mark --mark 0x2c0
-A PREROUTING -m mark --mark 0x0c0
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff --right-shift-mark 2
-A PREROUTING -m mark --mark 0x7/0xff
-A PREROUTING -j CONNMARK --restore-mark --mask 0xfffff
-A PREROUTING -m mark --mark 0x1c
COMMIT
'''
track = '-A FORWARD -m conntrack --ctstate NEW\nCOMMIT\n'
marks = MARKS.replace('COMMIT\n', track)
state = dict(state='NEW', orig=f'{A},{B},1,1', repl=f'{B},{A},1,1')
run('*raw\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n' + marks, [(p, dict(d, **state)) for p, d in packets[:2]])
run('*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j NOTRACK\nCOMMIT\n' + marks, [(p, dict(d, state='UNTRACKED')) for p, d in packets[:2]])

# Rates: time matters here, so the times are recorded.
RATES = ['-m limit --limit 10/s --limit-burst 3','-m limit --limit 5/s --limit-burst 1','-m limit --limit 7/s','-m limit --limit 100/min --limit-burst 2','-m limit --limit 1000/min','-m limit --limit 3/s --limit-burst 4','-m limit --limit 60/s --limit-burst 1','-m limit','-m limit --limit-burst 20','-m limit --limit 13/s --limit-burst 2','-m limit --limit 1000/hour --limit-burst 3',
 '-m statistic --mode nth --every 3 --packet 0','-m statistic --mode nth --every 3 --packet 1','-m statistic --mode nth --every 3 --packet 2','-m statistic --mode nth --every 1 --packet 0','-m statistic --mode nth ! --every 4 --packet 2','-m statistic --mode nth --every 5 --packet 3']
random.seed(1)
text = mangle([f'-p 197 {r}' for r in RATES])
load(text); block(text, 'cumulative')
for i in range(120):
    time.sleep(random.choice([0, 0, 0.002, 0.01, 0.03, 0.05, 0.1, 0.3]))
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC); os.write(f0, packets[-1][0])
    write(dict(packets[-1][1], now=now))

if fam == '6': sys.exit()
# Connections.
sh('sysctl', '-w', 'net.netfilter.nf_conntrack_tcp_loose=0')
CT = '''-m conntrack --ctstate NEW
-m conntrack --ctstate ESTABLISHED
-m conntrack --ctstate RELATED
-m conntrack --ctstate INVALID
-m conntrack --ctstate UNTRACKED
-m conntrack --ctstate SNAT
-m conntrack --ctstate DNAT
-m conntrack ! --ctstate NEW
-m conntrack ! --ctstate INVALID
-m conntrack ! --ctstate UNTRACKED
-m conntrack ! --ctstate SNAT,DNAT
-m conntrack --ctstate NEW,ESTABLISHED,RELATED
-m conntrack --ctstate INVALID,UNTRACKED
-m state --state NEW,ESTABLISHED
-m state ! --state INVALID
-m state --state UNTRACKED
-m conntrack --ctstatus NONE
-m conntrack ! --ctstatus NONE
-m conntrack --ctstatus CONFIRMED
-m conntrack ! --ctstatus CONFIRMED
-m conntrack --ctstatus SEEN_REPLY
-m conntrack --ctstatus ASSURED,SEEN_REPLY
-m conntrack ! --ctstatus SEEN_REPLY,CONFIRMED
-m conntrack --ctstatus EXPECTED
-m conntrack --ctproto udp
-m conntrack ! --ctproto udp
-m conntrack --ctproto 0
-m conntrack --ctorigsrc 10.0.0.5
-m conntrack ! --ctorigsrc 10.0.0.5
-m conntrack --ctorigsrc 10.0.0.9/24
-m conntrack --ctorigdst 10.1.0.7
-m conntrack --ctreplsrc 10.1.0.7
-m conntrack --ctrepldst 10.0.0.5
-m conntrack --ctrepldst 10.1.0.7
-m conntrack --ctorigsrcport 1000
-m conntrack ! --ctorigsrcport 1000
-m conntrack --ctorigdstport 50:60
-m conntrack --ctreplsrcport 53
-m conntrack --ctrepldstport 1000
-m conntrack --ctorigsrc 10.0.0.5 ! --ctorigdst 1.1.1.1 --ctproto udp --ctorigdstport 53
-m conntrack --ctdir ORIGINAL
-m conntrack --ctdir REPLY
-m conntrack --ctexpire 0
-m conntrack ! --ctexpire 0
-m conntrack --ctexpire 28:30
-m conntrack --ctexpire 10:5
-m conntrack --ctstate INVALID --ctproto tcp
-m conntrack --ctstate INVALID,UNTRACKED --ctdir REPLY
-m conntrack ! --ctstate NEW --ctorigsrc 9.9.9.9
-m conntrack --ctstate NEW --ctorigsrc 9.9.9.9
-m conntrack --ctstate NEW,ESTABLISHED --ctdir ORIGINAL
-m connmark --mark 0
-m connmark ! --mark 0
-m connmark --mark 5
-m connmark --mark 4/4
-m connmark ! --mark 4/4'''.split('\n')
steps=[]
def step(name,fd,pkt,**k): steps.append((name,fd,pkt,k))
def u(s,d,sp,dp): return ip4(s,d,17,udp(sp,dp))
orig=f'{A},{B},1000,53'; repl=f'{B},{A},53,1000'
CONF=8;SEEN=2;ASS=4
step('udp new',f0,u(A,B,1000,53),proto=17,state='NEW',orig=orig,repl=repl,status=0,timeout=0)
step('udp again',f0,u(A,B,1000,53),proto=17,state='NEW',orig=orig,repl=repl,status=CONF,timeout=29)
step('udp reply',f1,u(B,A,53,1000),proto=17,state='ESTABLISHED',orig=orig,repl=repl,status=CONF|SEEN,reply=1,timeout=29)
step('udp est',f0,u(A,B,1000,53),proto=17,state='ESTABLISHED',orig=orig,repl=repl,status=CONF|SEEN,timeout=29)
o2=f'{A},{B},1000,54'; r2=f'{B},{A},54,1000'
step('mark new',f0,u(A,B,1000,54),proto=17,state='NEW',orig=o2,repl=r2,status=0,timeout=0)
step('mark 2',f0,u(A,B,1000,54),proto=17,state='NEW',orig=o2,repl=r2,status=CONF,timeout=29,ctmark=5)
step('tcp inv',f0,ip4(A,B,6,tcp(5,6,0x10,src=A,dst=B)),proto=6,state='INVALID')
step('tcp badck',f0,ip4(A,B,6,tcp(5,6,2)),proto=6,state='INVALID')
step('untracked99',f0,ip4(A,B,99,b'x'*8),proto=99,state='UNTRACKED')
step('untrackedicmp',f0,ip4('10.0.0.66',B,1,icmp(8,0)),proto=1,state='UNTRACKED',src='10.0.0.66')
step('icmp related',f1,ip4('10.1.0.9',A,1,icmp(3,1,b'\0\0\0\0'+u(A,B,1000,53))),proto=1,state='RELATED',orig=orig,repl=repl,status=CONF|SEEN,reply=1,timeout=29,src='10.1.0.9',ctproto=17)
step('tcp syn',f0,ip4(A,B,6,tcp(7,8,2,src=A,dst=B)),proto=6,state='NEW',orig=f'{A},{B},7,8',repl=f'{B},{A},8,7',status=0,timeout=0)
text = '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p 99 -j CT --notrack\n-A PREROUTING -p icmp -s 10.0.0.66 -j NOTRACK\nCOMMIT\n' \
    + mangle(CT, '-A FORWARD -p udp --dport 54 -j CONNMARK --set-mark 5\n')
load(text); block(text)
sh('conntrack', '-F')
for name, fd, pkt, k in steps:
    sh(ipt, '-t', 'mangle', '-Z'); os.write(fd, pkt); time.sleep(0.01)
    d = dict(name=name.replace(' ', '-'), src=A, dst=B, length=len(pkt), ttl=64, avail=len(pkt) - 20); d.update(k)
    write(d)
