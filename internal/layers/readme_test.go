package layers_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestReadmePrograms builds the programs that the README shows: people paste them.
func TestReadmePrograms(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 2 {
		t.Fatalf("the README shows %d programs, want 2 or more", len(blocks))
	}
	dir := t.TempDir()
	for i, block := range blocks {
		file := filepath.Join(dir, fmt.Sprintf("readme%d.go", i))
		if err := os.WriteFile(file, block[1], 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "vet", file)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("program %d of the README: %v\n%s", i+1, err, out)
		}
	}
}
