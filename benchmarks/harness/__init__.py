"""What every benchmark uses: timer, machine, scores, intervals and peers."""
