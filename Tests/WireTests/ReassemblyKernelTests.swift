// Fragments through reassembly and out again, byte for byte as Linux 6.18 did it: a router with
// connection tracking between two interfaces, the packets sent and received by packet sockets.

import Testing
import Wire

@Suite struct ReassemblyKernelTests {
  @Test(arguments: KernelCase.ipv4 + KernelCase.ipv6)
  func leavesAsFromTheKernel(_ example: KernelCase) {
    var router = FragmentRouter(mtu: example.mtu, identification: example.identification)
    for (number, step) in example.steps.enumerated() {
      let (result, output) = router.send(step.input.bytes(example.prefix))
      #expect(result == step.result, "fragment \(number)")
      #expect(output == step.output.map { $0.bytes(example.prefix) }, "fragment \(number)")
    }
  }
}

/// A packet of a test: the header in hex, then a range of the datagram's data.
struct Bytes: Sendable {
  var header: String
  var data: Range<Int>
  var padding: String

  init(_ header: String, _ data: Range<Int>, padding: String = "") {
    self.header = header
    self.data = data
    self.padding = padding
  }

  /// The data: `prefix`, then bytes that differ from their neighbours and from those 256 further on.
  func bytes(_ prefix: String) -> [UInt8] {
    let prefix = hex(prefix)
    let data = data.map { $0 < prefix.count ? prefix[$0] : Bytes.pattern($0) }
    return hex(header) + data + hex(padding)
  }

  static func pattern(_ offset: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: offset * 7 + offset >> 8)
  }
}

/// What became of a packet.
enum StepResult: Equatable, Sendable {
  case passed
  case held
  case dropped(FragmentProblem)
  case completed
  /// The output is then the packet the sender is told of.
  case tooBig
}

struct Step: Sendable {
  var input: Bytes
  var result: StepResult
  var output: [Bytes]

  init(
    _ header: String, _ data: Range<Int>, padding: String = "", _ result: StepResult,
    _ output: [Bytes] = []
  ) {
    input = Bytes(header, data, padding: padding)
    self.result = result
    self.output = output
  }
}

struct KernelCase: Sendable, CustomTestStringConvertible {
  var name: String
  var mtu: Int
  /// The first bytes of the datagram's data, in hex.
  var prefix: String
  /// The one the kernel chose for the pieces of an IPv6 packet.
  var identification: UInt32
  var steps: [Step]

  init(
    _ name: String, mtu: Int, prefix: String = "", identification: UInt32 = 0, _ steps: [Step]
  ) {
    self.name = name
    self.mtu = mtu
    self.prefix = prefix
    self.identification = identification
    self.steps = steps
  }

  var testDescription: String { name }
}

/// Reassembles, takes one off the hop limit and splits again.
struct FragmentRouter: ~Copyable {
  var reassembler = Reassembler(ReassemblySettings())
  var now: Int64 = 0
  let mtu: Int
  let identification: UInt32
  private var packet = PacketBuffer()
  private var scratch = PacketBuffer()

  init(mtu: Int, identification: UInt32 = 0) {
    self.mtu = mtu
    self.identification = identification
  }

  mutating func send(_ bytes: [UInt8]) -> (StepResult, [[UInt8]]) {
    precondition(packet.assign(bytes.rawSpan))
    var headers = PacketHeaders()
    #expect(PacketHeaders.decode(packet.bytes, into: &headers) == nil)
    var info: ReassembledInfo?
    switch reassembler.add(&packet, headers: headers, now: now, user: 0) {
    case .held: return (.held, [])
    case .dropped(let problem): return (.dropped(problem), [])
    case .notAFragment: break
    case .complete(let reassembled):
      info = reassembled
      #expect(PacketHeaders.decode(packet.bytes, into: &headers) == nil)
    }
    return forward(headers, info)
  }

  private mutating func forward(
    _ headers: PacketHeaders, _ info: ReassembledInfo?
  ) -> (StepResult, [[UInt8]]) {
    let way = Fragmentation.way(headers: headers, mtu: mtu, longestFragment: info?.maxFragmentSize)
    if way == .tooBig { return (.tooBig, [packet.bytes.slice(0..<headers.end).array]) }
    packet.decrementHopLimit(headers)
    var output: [[UInt8]] = []
    if way == .whole {
      output.append(packet.bytes.slice(0..<headers.end).array)
    } else {
      Fragmentation.split(
        packet, headers: headers, mtu: mtu, reassembled: info,
        identification: identification, into: &scratch
      ) { output.append($0.array) }
    }
    return (info == nil ? .passed : .completed, output)
  }
}

extension PacketBuffer {
  /// Takes one off the hop limit, as a router does.
  mutating func decrementHopLimit(_ headers: PacketHeaders) {
    guard headers.family == .ipv4 else {
      store8(uint8(at: IPv6Field.hopLimit) - 1, at: IPv6Field.hopLimit)
      return
    }
    let old = uint16(at: IPv4Field.timeToLive)
    store16(old - 0x100, at: IPv4Field.timeToLive)
    store16(
      InternetChecksum.updated(uint16(at: IPv4Field.checksum), from: old, to: old - 0x100),
      at: IPv4Field.checksum)
  }
}
