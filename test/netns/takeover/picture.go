// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Geometry of the picture, in units of the x axis: faults stand at whole numbers.
const (
	// groupWidth is how much of the space between two faults the strips take.
	groupWidth = 0.78
	// dotSpread is how much of its strip the dots are scattered over.
	dotSpread = 0.5
	// floorMS is where outages of zero are drawn, since a logarithmic axis has none.
	floorMS = 0.5
)

// WritePicture draws every outage as a dot over its fault and system, with the
// median as a bar and in figures, on a logarithmic axis, and writes it to path
// as SVG.
func WritePicture(path string, results []Result) error {
	p := plot.New()
	p.Title.Text = "Outage seen by a client, ms (dots: takeovers; bars and figures: medians)"
	p.Title.TextStyle.Font = sans(15)
	p.Title.Padding = font.Points(10)
	p.X.Min, p.X.Max = -0.5, float64(len(Faults()))-0.5
	p.X.Tick.Marker = faultTicks()
	p.X.Tick.Length = 0
	p.X.Tick.Label.Font = sans(12)
	// No label on the y axis: the layout takes the axis for linear and would put it, and
	// leave room for it, at the top. The title names the unit.
	p.Y.Scale = plot.LogScale{}
	p.Y.Min, p.Y.Max = floorMS*0.7, ceiling(results)
	p.Y.Tick.Marker = decades(p.Y.Max)
	p.Y.Tick.Label.Font = sans(10)
	p.Legend.Top = true
	p.Legend.TextStyle.Font = sans(12)
	p.Legend.ThumbnailWidth = font.Points(12)
	p.Legend.Padding = font.Points(3)
	if err := addGrid(p); err != nil {
		return err
	}

	rows := Rows(results)
	var systems []string
	for _, r := range rows {
		if !slices.Contains(systems, r.System) {
			systems = append(systems, r.System)
		}
	}
	for i, system := range systems {
		ink := palette(i)
		dots, err := plotter.NewScatter(stripDots(results, system, i, len(systems)))
		if err != nil {
			return fmt.Errorf("draw %s: %w", system, err)
		}
		light := ink
		light.A = 0xa0
		dots.GlyphStyle = draw.GlyphStyle{Color: light, Radius: font.Points(2.6), Shape: draw.CircleGlyph{}}
		p.Add(dots)
		if err := addMedians(p, rows, system, i, len(systems), ink); err != nil {
			return fmt.Errorf("draw %s: %w", system, err)
		}
		p.Legend.Add(system, swatch{ink})
	}
	return save(p, path)
}

// save draws the plot on white with a margin, in the format of the path's extension.
func save(p *plot.Plot, path string) error {
	const width, height, margin = 36 * vg.Centimeter, 15 * vg.Centimeter, 0.4 * vg.Centimeter
	format := strings.TrimPrefix(filepath.Ext(path), ".")
	canvas, err := draw.NewFormattedCanvas(width, height, format)
	if err != nil {
		return err
	}
	page := draw.New(canvas)
	page.FillPolygon(color.White, []vg.Point{{}, {Y: height}, {X: width, Y: height}, {X: width}})
	p.Draw(draw.Crop(page, margin, -margin, margin, -margin))

	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// sans is the picture's font in so many points.
func sans(points float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: font.Points(points)}
}

// stripX is the middle of a system's strip over a fault.
func stripX(fault, system, systems int) float64 {
	width := groupWidth / float64(systems)
	return float64(fault) + (float64(system)-float64(systems-1)/2)*width
}

// stripDots places every outage of a system, scattered to the sides in a fixed order
// so that equal ones stay apart and the picture is the same each time.
func stripDots(results []Result, system string, index, systems int) plotter.XYs {
	var dots plotter.XYs
	for f, fault := range Faults() {
		var n int
		for _, r := range results {
			if r.Fault != fault || r.System != system || r.NotApplicable {
				continue
			}
			n++
			// The fractional parts of multiples of the golden ratio spread evenly.
			_, offset := math.Modf(float64(n) * math.Phi)
			dots = append(dots, plotter.XY{
				X: stripX(f, index, systems) + (offset-0.5)*dotSpread*groupWidth/float64(systems),
				Y: max(r.OutageMS, floorMS),
			})
		}
	}
	return dots
}

// addMedians draws a bar and a figure for each of the system's medians.
func addMedians(p *plot.Plot, rows []Row, system string, index, systems int, ink color.NRGBA) error {
	var labels plotter.XYLabels
	half := groupWidth / float64(systems) * 0.42
	for _, r := range rows {
		if r.System != system {
			continue
		}
		x := stripX(slices.Index(Faults(), r.Fault), index, systems)
		if r.Rounds == 0 {
			labels.XYs = append(labels.XYs, plotter.XY{X: x, Y: floorMS})
			labels.Labels = append(labels.Labels, "n/a")
			continue
		}
		y := max(r.Outage.Median, floorMS)
		bar, err := plotter.NewLine(plotter.XYs{{X: x - half, Y: y}, {X: x + half, Y: y}})
		if err != nil {
			return err
		}
		bar.LineStyle = draw.LineStyle{Color: ink, Width: font.Points(2.4)}
		p.Add(bar)
		labels.XYs = append(labels.XYs, plotter.XY{X: x, Y: max(r.Outage.Max, floorMS)})
		figure := formatMS(r.Outage.Median)
		if r.NotRecovered > 0 {
			figure += "+"
		}
		labels.Labels = append(labels.Labels, figure)
	}
	texts, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range texts.TextStyle {
		texts.TextStyle[i].Color = ink
		texts.TextStyle[i].Font = sans(10)
		texts.TextStyle[i].XAlign = text.XCenter
	}
	texts.Offset = vg.Point{Y: font.Points(6)}
	p.Add(texts)
	return nil
}

// palette is Okabe and Ito's, which colour-blind people can tell apart.
func palette(i int) color.NRGBA {
	colours := []color.NRGBA{
		{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, // blue
		{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, // vermilion
		{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}, // green
		{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff}, // purple
		{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}, // sky
	}
	return colours[i%len(colours)]
}

// ceiling leaves room for the legend and the figures above the longest outage.
func ceiling(results []Result) float64 {
	longest := 10.0
	for _, r := range results {
		longest = max(longest, r.OutageMS)
	}
	return longest * 20
}

// decades label the logarithmic axis up to top, from "none" upwards.
func decades(top float64) plot.ConstantTicks {
	ticks := plot.ConstantTicks{{Value: floorMS, Label: "none"}}
	for v := 1.0; v <= top; v *= 10 {
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', -1, 64)})
		for m := 2.0; m < 10 && m*v <= top; m++ {
			ticks = append(ticks, plot.Tick{Value: m * v})
		}
	}
	return ticks
}

// tickLabel is a fault's name in as many lines as it takes to stay in its column.
func tickLabel(f Fault) string {
	if rest, ok := strings.CutPrefix(string(f), "standby-"); ok {
		return "standby-\n" + rest
	}
	return string(f)
}

func faultTicks() plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for i, f := range Faults() {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: tickLabel(f)})
	}
	return ticks
}

// addGrid draws thin lines at every power of ten and between the faults.
func addGrid(p *plot.Plot) error {
	grey := color.Gray{Y: 0xdd}
	grid := plotter.NewGrid()
	grid.Vertical.Color = nil
	grid.Horizontal.Color = grey
	p.Add(grid)
	for i := range len(Faults()) - 1 {
		x := float64(i) + 0.5
		line, err := plotter.NewLine(plotter.XYs{{X: x, Y: p.Y.Min}, {X: x, Y: p.Y.Max}})
		if err != nil {
			return err
		}
		line.Color = grey
		p.Add(line)
	}
	return nil
}

// swatch is a filled square in the legend.
type swatch struct{ color.Color }

// Thumbnail implements plot.Thumbnailer.
func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.Color, []vg.Point{
		{X: c.Min.X, Y: c.Min.Y},
		{X: c.Min.X, Y: c.Max.Y},
		{X: c.Max.X, Y: c.Max.Y},
		{X: c.Max.X, Y: c.Min.Y},
	})
}
