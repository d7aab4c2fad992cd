// The Internet checksum: over a whole packet, and updated for a changed address.

import Benchmark
import Wire

func checksumBenchmarks() {
  for size in [40, 576, 1500] {
    Benchmark.part("checksum \(size) bytes") {
      (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    } _: { bytes, _ in
      blackHole(InternetChecksum.fold(InternetChecksum.sum(bytes.span.bytes)))
    }
  }
  Benchmark.part("checksum update of an IPv4 address") {
    UInt16(0x1234)
  } _: { checksum, call in
    blackHole(
      InternetChecksum.updated(
        checksum, from: UInt32(truncatingIfNeeded: call), to: 0xC000_0201 as UInt32))
  }
}
